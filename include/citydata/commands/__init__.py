"""What `./citydata` can be told: a module a group of commands; `citydata.cli` puts them together."""
