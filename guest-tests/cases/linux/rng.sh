# variants: mmio pci
start rng --rng --transport "$VARIANT"
ends 0
