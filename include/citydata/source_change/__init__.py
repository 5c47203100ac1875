"""When a source changes its columns: what differs from the contract, what is hit by it, and the contract's next version."""
