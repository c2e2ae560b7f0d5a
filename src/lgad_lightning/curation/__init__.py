"""What `lgad-data` does with data sets: recognise, check, count, show and pack them."""
