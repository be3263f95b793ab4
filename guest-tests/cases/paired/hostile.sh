# variants: VMMS
# Rings that break the rules hurt neither the VMM nor the device past its next reset.
tap 0
case $VARIANT in
minivmm-*) strict=' strict' ;;
esac
guest 0 1 64 "case=hostile${strict:-}" "hostile: noticed="
