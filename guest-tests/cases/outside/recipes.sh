# The recipes of configs/, done with a stand-in for minivmm: it has the real one judge the options, and runs the command on
# this host. What a machine does with such options is for the Linux cases (job); here it is what the recipe makes of it.

stand_in()
{
	mkdir -p "$tmp/bin"
	cat >"$tmp/bin/minivmm" <<-END
		#!/bin/bash
		real='$real'
		echo "minivmm \$*" >>'$tmp/calls'
	END
	cat >>"$tmp/bin/minivmm" <<-'END'
		if [[ $1 == doctor ]]; then
			"$real" doctor --help >/dev/null || exit 99
			exit "${DOCTOR:-0}"
		fi
		options=() guest=() host=() cwd=/
		while [[ $1 != -- ]]; do
			options+=("$1")
			case $1 in
			--share) IFS=: read -r h g _ <<<"$2"; host+=("$h"); guest+=("$g") ;;
			--out) mkdir -p "$2"; export OUT=$2 ;;
			--cwd) cwd=$2 ;;
			esac
			shift
		done
		shift
		said=$("$real" "${options[@]}" --net none --kernel /nonexistent/kernel -- x 2>&1)
		[[ $said == *"cannot open kernel '/nonexistent/kernel'"* ]] || { echo "$said" >&2; exit 99; }
		[[ ! ${CANNOT:-} ]] || exit 125
		args=("$@")
		for i in "${!guest[@]}"; do
			args=("${args[@]/#"${guest[i]}"/"${host[i]}"}")
			[[ $cwd != "${guest[i]}" ]] || cd "${host[i]}"
		done
		exec "${args[@]}"
	END
	chmod +x "$tmp/bin/minivmm"
	: >"$tmp/calls"
	export PATH=$tmp/bin:$PATH
}

# gitlab STATUS ARG...: the executor as a runner calls it.
gitlab()
{
	local want=$1 got
	shift
	env CUSTOM_ENV_CI_JOB_ID=7 MINIVMM_JOBS="$tmp/jobs" SYSTEM_FAILURE_EXIT_CODE=96 BUILD_FAILURE_EXIT_CODE=95 BUILD_EXIT_CODE_FILE="$tmp/code" \
		"$top/configs/gitlab-executor" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	[ $got -eq "$want" ] || { why="$* gives $got, not $want: $(tail -n 1 "$tmp/err")"; return 1; }
}
user_recipe_gitlab()
{
	stand_in
	printf 'echo kept >state; exit 42\n' >"$tmp/build.sh"
	printf '[ "$(cat state)" = kept ] && echo second\n' >"$tmp/after.sh"
	sed -i "1icd '$tmp/jobs/7'" "$tmp/build.sh" "$tmp/after.sh"
	gitlab 0 config && jq -e '.builds_dir == "/builds" and .driver.name == "minivmm"' "$tmp/out" >"$tmp/jq" && gitlab 0 prepare &&
		gitlab 95 run "$tmp/build.sh" build_script && [ "$(cat "$tmp/code")" = 42 ] &&
		gitlab 0 run "$tmp/after.sh" after_script && [ "$(cat "$tmp/out")" = second ] && grep -q -- "--share $tmp/jobs/7:/builds:rw --net passt" "$tmp/calls" || return 1
	rm "$tmp/code"
	CANNOT=1 gitlab 96 run "$tmp/after.sh" after_script && [ ! -e "$tmp/code" ] && DOCTOR=125 gitlab 96 prepare &&
		gitlab 0 cleanup && [ ! -e "$tmp/jobs/7" ]
}
# A job that is cancelled: the runner's SIGTERM is the command's, and its status is waited for.
user_recipe_gitlab_cancelled()
{
	stand_in
	printf 'trap "sleep 0.2; exit 9" TERM; echo >"%s/started"; while :; do sleep 0.1; done\n' "$tmp" >"$tmp/long.sh"
	gitlab 0 prepare || return 1
	env CUSTOM_ENV_CI_JOB_ID=7 MINIVMM_JOBS="$tmp/jobs" BUILD_EXIT_CODE_FILE="$tmp/code" "$top/configs/gitlab-executor" run "$tmp/long.sh" build_script >"$tmp/out" 2>"$tmp/err" </dev/null &
	await 'the job runs' test -e "$tmp/started"
	kill -TERM $!
	wait $!
	[ $? -eq 1 ] && [ "$(cat "$tmp/code")" = 9 ]
}
# Each `run:` of the workflow, as a runner does it.
user_recipe_github()
{
	stand_in
	printf '#!/bin/sh\necho "sudo $*" >>"%s/calls"\n' "$tmp" >"$tmp/bin/sudo" && chmod +x "$tmp/bin/sudo"
	mkdir -p "$tmp/checkout" && printf 'check:\n\techo done >made; exit 3\n' >"$tmp/checkout/Makefile"
	awk '/^        run: \|/ { n++; inside = 1; next } inside && /^          / { print substr($0, 11) >dir "/step" n; next } { inside = 0 }' \
		dir="$tmp" "$top/configs/github-workflow.yml"
	[ -s "$tmp/step1" ] && [ -s "$tmp/step2" ] && [ ! -e "$tmp/step3" ] && cd "$tmp/checkout" &&
		bash -eo pipefail "$tmp/step1" && grep -q '^sudo chmod 0666 /dev/kvm' "$tmp/calls" && grep -q '^minivmm doctor --net passt' "$tmp/calls" || return 1
	bash -eo pipefail "$tmp/step2" >"$tmp/out" 2>&1
	[ $? -eq 2 ] && [ "$(cat made)" = done ] && [ -s job.xml ] # make's own status
}
user_recipe_make()
{
	[[ $tmp != *' '* ]] || skip 'make knows no names with blanks'
	stand_in
	mkdir -p "$tmp/project/tests" && cd "$tmp/project" || return 1
	for i in 1 2 3 4; do echo 'pwd >/dev/null' >tests/t$i.sh; done
	printf 'include %s/configs/job.mk\ncheck: $(patsubst %%.sh,%%.passed,$(wildcard tests/*.sh))\n' "$top" >Makefile
	make -s -j4 check >"$tmp/out" 2>&1 && [ "$(ls tests/*.passed | wc -l)" = 4 ] && [ "$(ls tests/*.xml | wc -l)" = 4 ] && [ "$(wc -l <"$tmp/calls")" = 4 ] &&
		make -s check && [ "$(wc -l <"$tmp/calls")" = 4 ] || return 1
	echo 'exit 5' >tests/t3.sh && touch -d '1 minute' tests/t3.sh
	! make -s -k -j4 check >"$tmp/out" 2>&1 && grep -q 'Error 5' "$tmp/out"
}
user_recipe_systemd()
{
	[[ $tmp != *' '* ]] || skip 'a shell splits what systemd would not'
	command -v systemd-analyze >/dev/null || skip 'no systemd-analyze'
	stand_in
	sed "s#/usr/local/bin/minivmm#$real#" "$top/configs/minivmm-job@.service" >"$tmp/minivmm-job@x.service"
	systemd-analyze verify --man=no "$tmp/minivmm-job@x.service" >"$tmp/out" 2>&1 && ! grep -q 'minivmm-job@' "$tmp/out" || { why=$(cat "$tmp/out"); return 1; }
	mkdir -p "$tmp/srv"
	STATE_DIRECTORY=$tmp/state bash -c "$(sed -n 's/^ExecStart=//p' "$top/configs/minivmm-job@.service" | sed "s#/usr/local/bin/##; s#/srv/jobs/%i#'$tmp/srv'#; s#-- .*#-- sh -c 'echo left >\$OUT/file; exit 4'#")"
	[ $? -eq 4 ] && [ "$(cat "$tmp/state/file")" = left ]
}
