# variants: VMMS minivmm-rtl8139
# The device is reset again and again while traffic flows, and works.
tap 0
ping -q -i 0.01 -w 600 $address >/dev/null 2>&1 &
guest 0 1 128 "case=reset ip=$address" "frames behind the last"
