# configs/slurm-array.sh on a real Slurm of one node. The machines are real, too, with the smallest guest in place of a kernel:
# it resets, so the job has no word (134), or halts for good; the status of a command comes from a stand-in.
export SLURM_CONF=$tmp/slurm.conf

{ cat "$small"; printf 'Linux version 0.0-test '; } >"$tmp/resets"
LC_ALL=C sed 's/\x80\xf9c/\x80\xf9\xff/; s/\x80\xf9l/\x80\xf9c/' "$tmp/resets" >"$tmp/halts"

node_idle() { sinfo -h -o %T | grep -qx idle; }
slurm_starts()
{
	[ "$EUID" -eq 0 ] || { why=skip; return 1; }
	mkdir -p "$tmp"/{state,spool,bin} && ln -sf "$real" "$tmp/bin/minivmm" && head -c 1024 /dev/urandom >"$tmp/munge.key" && chmod 600 "$tmp/munge.key"
	munged --force --key-file="$tmp/munge.key" --socket="$tmp/munge.sock" --pid-file="$tmp/munge.pid" --log-file="$tmp/munge.log" --seed-file="$tmp/munge.seed" || return 1
	cat >"$SLURM_CONF" <<-END
		ClusterName=test
		SlurmctldHost=$(uname -n)(127.0.0.1)
		SlurmUser=root
		AuthType=auth/munge
		AuthInfo=socket=$tmp/munge.sock
		StateSaveLocation=$tmp/state
		SlurmdSpoolDir=$tmp/spool
		SlurmctldPidFile=$tmp/slurmctld.pid
		SlurmdPidFile=$tmp/slurmd.pid
		SlurmctldLogFile=$WORK/slurmctld.log
		SlurmdLogFile=$WORK/slurmd.log
		ProctrackType=proctrack/pgid
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		AccountingStorageType=accounting_storage/none
		MpiDefault=none
		JobCompType=jobcomp/none
		ReturnToService=2
		MinJobAge=3600
		SlurmdParameters=config_overrides
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		KillWait=10
		NodeName=$(uname -n) NodeAddr=127.0.0.1 CPUs=4
		PartitionName=ci Nodes=$(uname -n) Default=YES
	END
	ip addr add 10.99.0.1/32 dev lo # it wants an address beside the loopback's own
	slurmctld -f "$SLURM_CONF" && slurmd -f "$SLURM_CONF" && await 'the node is idle' node_idle
}
slurm_ends()
{
	local pid
	for pid in slurmd slurmctld munge; do [ ! -s "$tmp/$pid.pid" ] || kill "$(cat "$tmp/$pid.pid")"; done
}

# array TASKS OPTIONS COMMAND: submitted, and its number in $id.
array()
{
	id=$(cd "$tmp" && PATH=$tmp/bin:$PATH MINIVMM_OPTIONS=$2 sbatch --parsable --array="$1" --output="$tmp/slurm-%a.log" ${LIMIT:-} \
		"$top/configs/slurm-array.sh" "$3" 2>"$tmp/err") || { why=$(cat "$tmp/err"); return 1; }
}
state_is() { scontrol show job "$id" | grep -o 'JobState=[A-Z]*' | sort -u | grep -qx "JobState=$1"; }
over() { ! scontrol show job "$id" | grep -qE 'JobState=(PENDING|CONFIGURING|RUNNING|COMPLETING)'; }
codes() { scontrol show job "$id" | grep -o ' ExitCode=[0-9:]*' | sort | uniq -c | sed 's/^ *//; s/  */ /'; }
two_run()
{
	local p n=0
	for p in /proc/[0-9]*; do
		[ "$(cat "$p/comm" 2>/dev/null)" = minivmm ] && grep -qszx 128M "$p/cmdline" && n=$((n + 1))
	done
	[ $n -eq 2 ]
}
nothing_left() { ! cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -q -- "--mem $1 "; } # of the machines with that memory

slurm_array()
{
	array 0-3 "--kernel $tmp/resets --mem 64M" true && await 'the array is over' over && [ "$(codes)" = '4 ExitCode=134:0' ] || { why="$(codes), $(cat "$tmp/slurm-0.log" "$WORK/slurmctld.log" | tail -n 3)"; return 1; }
	printf '#!/bin/sh\nexit 42\n' >"$tmp/bin/task" && chmod +x "$tmp/bin/task" && mv "$tmp/bin/minivmm" "$tmp/bin/real" &&
		printf '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n' >"$tmp/bin/minivmm" && chmod +x "$tmp/bin/minivmm" &&
		array 0-7 '' "$tmp/bin/task" && await 'the array is over' over
	mv "$tmp/bin/real" "$tmp/bin/minivmm"
	[ "$(codes)" = '8 ExitCode=42:0' ] || { why=$(codes); return 1; }
}
slurm_timeout()
{
	array 0 "--kernel $tmp/halts --mem 64M --timeout 1s" true && await 'the job is over' over && [ "$(codes)" = '1 ExitCode=124:0' ] || { why=$(codes); return 1; }
}
slurm_cancelled()
{
	array 0-1 "--kernel $tmp/halts --mem 128M" true && await 'both guests run' two_run && scancel "$id" && await 'the job is over' over &&
		state_is CANCELLED && await 'nothing is left' nothing_left 128M
}
# The limit, which has whole minutes, runs out while the others are at it.
slurm_limited() { LIMIT='--time=1' array 0 "--kernel $tmp/halts --mem 96M" true && limited=$id; }
slurm_time_limit()
{
	id=$limited
	await 'the job is over' over && state_is TIMEOUT && await 'nothing is left' nothing_left 96M
}

# One Slurm for all of them.
user_recipe_slurm()
{
	local done=0 what
	slurm_starts || { why=${why:-$(tail -n 3 "$WORK"/slurm*.log "$tmp/err")}; return 1; }
	for what in slurm_limited slurm_array slurm_timeout slurm_cancelled slurm_time_limit; do
		$what || { why="$what: $why"; done=1; break; }
		echo "$what"
	done
	slurm_ends
	return $done
}
if kvm_usable; then :; else unset -f user_recipe_slurm; skipped user_recipe_slurm 'no /dev/kvm that is ours to open'; fi
