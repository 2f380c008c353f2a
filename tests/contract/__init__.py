"""What every store must do, written once and run over each of them; see `databases`."""
