"""The share of the town's data under governance: the inventory, the register, the evidence and the sealed figure."""
