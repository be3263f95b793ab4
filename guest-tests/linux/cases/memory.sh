# variants: 128M 1G 5G
# Of 5 GiB, 2 lie above 4 GiB: the hole from 3 to 4 GiB moves them there.
case $VARIANT in
128M) parameters='want=128 fill=32 high=0' ;;
1G) parameters='want=1024 fill=700 high=0' ;;
5G) parameters='want=5120 fill=1024 high=512' ;;
esac
start "memory $parameters" --mem "$VARIANT"
ends 0
