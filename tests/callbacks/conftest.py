collect_ignore = ["ddp_script.py"]  # run by test_ddp.py
