# What people do in a machine of their own, in a Debian root: compile a part of this project, clone and diff a repository,
# install a package. One machine; what is made in it is used here. LONG=1: all of this project, and two hundred
# times the files.
files=50 targets='/out/build/linux/fsops /out/build/boot/initramfs.o'
((!${LONG:-0})) || files=10000 targets='/out/build/minivmm /out/build/linux/fsops'
job()
{
	"$MINIVMM" run --root "$TMP/root" --kernel "$KERNEL" --mem 512M --timeout 9000s --stats "$WORK/stats" "$@"
}

mkdir "$TMP/root" "$TMP/job"
mount -o ro "$DEBIAN" "$TMP/root"
cat >"$TMP/job/job" <<'EOF'
set -eux
# All that is built goes out; the source is where it was.
step() { echo "$1: at $(cut -d. -f1 /proc/uptime) s" >>$OUT/steps; }
step make
make -C /src BUILD=/out/build $TARGETS >&2
step clone
# Owned by its user here, whoever that is on the host; a tenth of it changes.
mkdir /job/origin
cd /job/origin
git init -q
mkdir $(seq 20)
for i in $(seq $FILES); do echo "text $i" >$((i % 20 + 1))/$i; done
git add .
git -c gc.auto=0 -c user.name=x -c user.email=x@y commit -qm all
git clone -q /job/origin "$OUT/clone"
cd "$OUT/clone"
[ ! "$(git diff)" ]
for i in $(seq 10 10 $FILES); do echo changed >$((i % 20 + 1))/$i; done
step diff
[ "$(git diff --name-only | wc -l)" = $((FILES / 10)) ]
step fsck
git fsck --strict
step dpkg
# Owners, rights and links of a package are those of its files, in the layer that is thrown away.
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin /tmp/p/etc
printf 'Package: here\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n' >/tmp/p/DEBIAN/control
printf '#!/bin/sh\nchown daemon:daemon /usr/bin/here\nchmod 4755 /usr/bin/here\n' >/tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst
printf '#!/bin/sh\necho here\n' >/tmp/p/usr/bin/here
chmod 755 /tmp/p/usr/bin/here
ln -s here /tmp/p/usr/bin/there
dpkg-deb --root-owner-group -b /tmp/p /tmp/here.deb >&2
dpkg -i /tmp/here.deb >&2
[ "$(there)" = here ]
[ "$(stat -c %U:%a /usr/bin/here)" = daemon:4755 ]
dpkg -P here >&2
[ ! -e /usr/bin/here ]
# The image's own /run.
[ -d /run/lock ]
EOF
job --share "$SOURCE:/src" --share "$TMP/job:/job:rw" --out "$TMP/o" --env FILES=$files --env "TARGETS=$targets" -- /bin/sh /job/job 2>"$TMP/err" ||
	fail "status $?: $(tail -n 3 "$TMP/err" | tr '\n' ';')"
[ ! -e "$TMP/root/usr/bin/here" ]
mkdir "$TMP/a" "$TMP/b"
"$TMP/o/build/linux/fsops" "$TMP/a" 7 500 >"$TMP/made"
"$TOOLS/fsops" "$TMP/b" 7 500 >"$TMP/ours"
cmp "$TMP/made" "$TMP/ours"
[ "$(wc -l <"$TMP/o/clone/11/10")" = 1 ]
cat "$TMP/o/steps"
