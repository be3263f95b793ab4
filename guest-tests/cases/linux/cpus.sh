# variants: 1 2 4
start "cpus want=$VARIANT" --cpus "$VARIANT"
ends 0
