"""The city's data platform: contract → extract → land → audit → publish → transform → release."""
