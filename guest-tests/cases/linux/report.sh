# variants: 1 123
# The status that the guest reports is minivmm's.
start "want=$VARIANT"
ends "$VARIANT"

# ---- guest ----
# want=N: the case's status is that of the machine.
exit "$want"
