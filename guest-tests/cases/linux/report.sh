# variants: 1 123
# The status that the guest reports is minivmm's.
start "report want=$VARIANT"
ends "$VARIANT"
