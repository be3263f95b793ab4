# variants: VMMS
# No network card at all.
guest 101 1 128 "ip=$address" "no network device that works"
guest 1 1 64 "case=hostile" "no network device"
guest 1 1 64 "case=reset ip=$address"
