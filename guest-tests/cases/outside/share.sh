# What a guest's share is, without a guest: the FUSE server for a directory behind this host's own FUSE client (mountfs),
# beside the directory itself. LONG=1: more of everything.
ops=$build/linux/fsops
dir=$TMP/dir mnt=$TMP/mnt
if ((EUID)) || ! [[ -w /dev/fuse ]]; then
	skipped 'a share on this host' 'it takes root and /dev/fuse'
	assertions='none_'
fi

fresh()
{
	rm -rf "$dir" "$mnt"
	mkdir "$dir" "$mnt"
}

# shared [ro | frozen]: $dir is at $mnt until the check ends. SHARE_FILES limits its descriptors.
shared()
{
	rm -f "$TMP/mountfs" # its word of the last time
	(ulimit -n "${SHARE_FILES:-4096}"; exec "$build/mountfs" "$dir" "$mnt" "$@") >"$TMP/mountfs" &
	trap 'umount "$mnt"; wait' EXIT
	until grep -qs ready "$TMP/mountfs"; do kill -0 $! || return 1; sleep 0.05; done
}

# unshared: its closing line, `requests N malformed N inodes N fds N left N N`, in $TMP/mountfs.
unshared()
{
	umount "$mnt" && wait && trap - EXIT
	why=$(tail -n 1 "$TMP/mountfs")
	[[ $why == *' malformed 0 '*' left 1 0' ]]
}

# few KIND=MOST...: so many requests of each kind at most, of the last time.
few()
{
	local k
	for k; do
		(($(sed -n "s/^${k%=*} //p" "$TMP/mountfs") + 0 <= ${k#*=})) || { why=$(tr '\n' ' ' <"$TMP/mountfs"); return 1; }
	done
}

# fails ERROR COMMAND...: with the error's text.
fails()
{
	local text=$1
	shift
	! "$@" 2>"$TMP/err" || { why="no error: $*"; return 1; }
	grep -qF "$text" "$TMP/err" || { why="$*: $(cat "$TMP/err")"; return 1; }
}

tree() # tree DIR: all that can be seen of it
{
	(cd "$1" && find . \( -type d -printf '%p %y %m\n' -o -printf '%p %y %m %s %l %n %Ts\n' \) | sort
		find . -type f -exec sha256sum {} + | sort)
}

# Operation by operation the same as on the host, and the same is left.
user_operations()
{
	local seed nr=${LONG:+20000} seeds=${LONG:+20}
	for seed in $(seq "${seeds:-3}"); do
		fresh
		rm -rf "$TMP/host"
		mkdir "$TMP/host"
		"$ops" "$TMP/host" "$seed" "${nr:-4000}" >"$TMP/want"
		shared && "$ops" "$mnt" "$seed" "${nr:-4000}" >"$TMP/got" && unshared || return
		cmp "$TMP/want" "$TMP/got" || { why="seed $seed: $(diff "$TMP/want" "$TMP/got" | head -n 4)"; return 1; }
		diff <(tree "$TMP/host" | sed 's/ [0-9]*$//') <(tree "$dir" | sed 's/ [0-9]*$//') || return
	done
}

# The same for a user who is not the one here, of a share whose files are that user's there.
user_operations_of_another_user()
{
	local as=(setpriv --reuid=1000 --regid=100 --clear-groups "$ops")
	fresh
	rm -rf "$TMP/host"
	mkdir "$TMP/host" && chmod 755 "$TMP" && chown 1000:100 "$TMP/host"
	"${as[@]}" "$TMP/host" 1 4000 >"$TMP/want"
	shared owner=1000:100 && "${as[@]}" "$mnt" 1 4000 >"$TMP/got" && unshared || return
	cmp "$TMP/want" "$TMP/got" || { why=$(diff "$TMP/want" "$TMP/got" | head -n 20); return 1; }
}

# Where nothing can be given away, others' files stay theirs: a root that an ordinary user has unpacked is root's there, and
# the host's own stays root's as well.
user_owners()
{
	fresh
	touch "$dir/ours" "$dir/theirs"
	chown 1000:100 "$dir/theirs"
	shared owner=1000:100 || return
	why=$(stat -c %u:%g "$mnt/ours" "$mnt/theirs" | tr '\n' ' ')
	[[ $why == '1000:100 0:0 ' ]] && unshared && shared frozen owner=1000:100 || return
	why=$(stat -c %u:%g "$mnt/ours" "$mnt/theirs" | tr '\n' ' ')
	[[ $why == '1000:100 1000:100 ' ]] && unshared
}

# Many more files than descriptors: walked, read, walked again from a cold cache.
user_many_files()
{
	local nr=${LONG:+1000} d
	fresh
	for ((d = 1; d <= ${nr:-20}; d++)); do
		mkdir "$dir/d$d" && seq 1000 | (cd "$dir/d$d" && split -l 1 -a 3 -d - f) || return
	done
	SHARE_FILES=128 shared || return
	for i in 1 2; do
		why="round $i: $(find "$mnt" -type f -size -8c | wc -l) files, $(find "$mnt/d7" -type f -exec cat {} + | wc -l) lines"
		[[ $why == "round $i: ${nr:-20}000 files, 1000 lines" ]] || return
		echo 2 >/proc/sys/vm/drop_caches
	done
	unshared || return
	read -r _ _ _ _ _ _ _ fds _ <<<"$why"
	((fds <= 32)) # a quarter of what it may have
}

# Also with changes made to a tenth of it on the host, which the guest's git is to see.
user_git()
{
	local files=10000
	fresh
	git init -q "$dir/origin"
	(cd "$dir/origin" && mkdir $(seq 100) && for ((i = 0; i < files; i++)); do echo "text $i" >$((i % 100 + 1))/$i; done &&
		git add . && git -c gc.auto=0 -c user.name=x -c user.email=x@y commit -qm all) || return
	shared && git -c safe.directory='*' clone -q "$mnt/origin" "$mnt/clone" && [[ ! $(git -C "$mnt/clone" diff) ]] || return
	for ((i = 0; i < files; i += 10)); do echo changed >"$mnt/clone/$((i % 100 + 1))/$i"; done
	why="$(git -C "$mnt/clone" diff --name-only | wc -l) files differ"
	[[ $why == '1000 files differ' ]] && unshared && git -C "$dir/clone" fsck --strict && why='the host sees another state' &&
		[[ $(git -C "$dir/clone" diff --name-only | wc -l) == 1000 ]]
}

# The rates of bench/jobs, all of them; and none of a small write's or a close's requests comes twice.
user_rates()
{
	local requests
	fresh
	shared && "$build/linux/fsrates" "$mnt" 20 8 >"$TMP/rates" && unshared || return
	why="$(awk '$1 == "rate" && $4 > 0' "$TMP/rates" | wc -l) rates"
	[[ $why == '13 rates' && ! $(ls "$dir") ]] || return
	mount -t tmpfs tmpfs "$dir"
	trap 'umount "$dir"' RETURN
	shared && dd if=/dev/zero of="$mnt/file" bs=4k count=1000 status=none && (for i in $(seq 1000); do : <"$mnt/file" || exit; done) && unshared || return
	read -r _ requests _ <<<"$why"
	((requests < 3100)) # a write is one, an opening and a closing one each
}

# A job's root: below a layer for what it writes. Each name is asked for once, each file is read once, and that is all.
user_frozen()
{
	local files=500 layer=$TMP/layer i
	fresh
	mkdir "$dir/d" "$layer"
	for ((i = 0; i < files; i++)); do echo "text $i" >"$dir/d/$i"; done
	cp /bin/true "$dir/d/true"
	mount -t tmpfs tmpfs "$layer"
	mkdir "$layer"/{root,upper,work}
	trap 'mountpoint -q "$layer/root" && umount "$layer/root"; umount "$layer"' RETURN
	shared frozen && mount -t overlay -o "lowerdir=$mnt,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/root" || return
	for ((i = 0; i < 3; i++)); do
		why="round $i"
		[[ $(cat "$layer"/root/d/[0-9]* | sort -u | wc -l) == "$files" ]] && "$layer/root/d/true" &&
			[[ $(find "$layer/root/d" -size -2 | wc -l) -ge $files && ! -e $layer/root/none ]] || return
	done
	fails 'Read-only file system' touch "$mnt/new" || return
	fails 'Read-only file system' touch "$mnt/d/7" || return
	echo more >>"$layer/root/d/7" && rm "$layer/root/d/8" || return
	why='the layer below was changed'
	[[ $(cat "$layer/root/d/7") == $'text 7\nmore' && ! -e $layer/root/d/8 && $(cat "$dir"/d/[78]) == $'text 7\ntext 8' ]] || return
	umount "$layer/root" && unshared &&
		few LOOKUP=$((files + 10)) READ=$((files + 10)) GETATTR=10 OPEN=1 OPENDIR=1 RELEASE=0 RELEASEDIR=0 GETXATTR=1 LISTXATTR=1
}

# ls -l hears once that a share has neither labels nor lists of rights.
user_listed()
{
	local i
	fresh
	for ((i = 0; i < 200; i++)); do : >"$dir/$i"; done
	shared || return
	why="$(ls -l "$mnt" | grep -c '^-') files"
	[[ $why == '200 files' ]] && unshared && few GETXATTR=4
}

user_errors_of_the_host()
{
	fresh
	mount -t tmpfs -o size=1m tmpfs "$dir"
	trap 'umount "$dir"' RETURN
	shared || return
	fails 'No space left' dd if=/dev/zero of="$mnt/big" bs=64k count=64 conv=fsync || return
	rm "$mnt/big"
	echo text >"$mnt/own"
	chmod 600 "$mnt/own"
	fails 'Permission denied' setpriv --reuid=1 --regid=1 --clear-groups cat "$mnt/own" || return
	fails 'Operation not permitted' mknod "$mnt/device" c 1 3 || return
	fails 'File name too long' touch "$mnt/$(printf %0300d 0)" || return
	mount -o remount,ro "$dir" || return
	fails 'Read-only file system' touch "$mnt/new" && unshared || return
	shared ro && fails 'Read-only file system' touch "$mnt/new" && [[ $(cat "$mnt/own") == text ]] && unshared
}

# What the host puts in a file's place is another file: seen by a new look, and never taken for the old.
user_replaced()
{
	local i
	fresh
	echo old >"$dir/file"
	mkdir "$dir/held"
	echo x >"$dir/held/x"
	shared || return
	exec 3<"$mnt/file"
	cd "$mnt/held"
	echo newer >"$dir/new"
	mv "$dir/new" "$dir/file"
	mv "$dir/held" "$dir/elsewhere"
	mkdir "$dir/held"
	[[ $(cat <&3) == old ]] || { why='the file that is open is another'; return 1; }
	await 'the new file is seen' grep -qx newer "$mnt/file"
	await 'the new directory is seen' test ! -e "$mnt/held/x"
	[[ $(cat x) == x && $(cat "$mnt/elsewhere/x") == x ]] || { why='the directory that was held is another'; return 1; }
	cd /
	exec 3<&-
	unshared
}

# In the same file, both sides write: what the host wrote is seen, and what is appended comes behind it.
user_written_by_both()
{
	fresh
	echo old >"$dir/file"
	shared && [[ $(cat "$mnt/file") == old ]] || return
	echo 'the host was here' >"$dir/file"
	await 'the change is seen' grep -qx 'the host was here' "$mnt/file"
	echo guest >>"$mnt/file"
	why=$(cat "$dir/file")
	[[ $why == $'the host was here\nguest' && $(cat "$mnt/file") == "$why" ]] && unshared
}

# File systems below it number their files alike; for who compares numbers (tar, cp, rm) they are others.
user_mounts_below()
{
	local m
	fresh
	for m in one two; do
		mkdir "$dir/$m"
		mount -t tmpfs tmpfs "$dir/$m"
		echo $m >"$dir/$m/file"
	done
	mkdir "$dir/proc"
	mount -t proc proc "$dir/proc"
	trap 'umount "$dir"/{one,two,proc}' RETURN
	[[ $(stat -c %i "$dir/one/file") == $(stat -c %i "$dir/two/file") ]] || { why='they are not alike here'; return 1; }
	shared || return
	[[ $(stat -c %i "$mnt/one/file") != $(stat -c %i "$mnt/two/file") ]] || { why='they are alike'; return 1; }
	mkdir "$TMP/copy"
	tar -C "$mnt" -c one two proc | tar -C "$TMP/copy" -x && [[ $(cat "$TMP/copy/two/file") == two ]] || return
	why='the host'"'"'s processes are seen'
	[[ ! $(ls -A "$TMP/copy/proc") ]] && rm -rf "$mnt/one/file" && unshared
}

user_no_rights_on_the_host()
{
	fresh
	shared || return
	cp /bin/true "$mnt/true"
	chmod 6755 "$mnt/true"
	why=$(stat -c %a "$dir/true")
	[[ $why == 755 ]] && ln -s /etc/shadow "$mnt/link" && [[ $(readlink "$dir/link") == /etc/shadow ]] && unshared
}
