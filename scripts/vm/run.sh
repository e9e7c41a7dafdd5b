#!/usr/bin/env bash
# Runs tests or a command in a virtual machine that has control groups of
# version 2 alone, or of version 1, systemd, and Debian 12's kernel (6.1).
#
#   scripts/vm/image ──► kernel, initramfs, disk (cached) ─┐
#   this tree, bin/, test binaries ──► a second disk ──────┴► qemu ──► exit status
#
# The machine is emulated (TCG), so it needs no privilege and no /dev/kvm. Its
# disks are thrown away when it ends.
set -euo pipefail

usage() {
	cat <<'USAGE'
usage: scripts/vm/run.sh [-p PACKAGE]... [-r REGEX] [-u USER] [options] [-- CMD [ARG...]]

Run Go tests or a command on a machine with control groups of version 2 and
systemd. Without -p and a command: the tests of scripts/vm/suite, or suite-v1.

  -p PACKAGE  test this package, as ./runtime/cgroup; may be repeated
  -r REGEX    which tests, as go test -run takes it (default .)
  -u USER     root (default), or tester: an ordinary user with a session of
              systemd-logind's, whose systemd has all controllers delegated
  -g GROUPS   v2 (default), v1, or hybrid: how systemd mounts control groups
  -s          short tests only (go test -short)
  -q          the short form of the suite, for every change: scripts/vm/suite-short
  -i DIR      copy DIR to the directory in (inside: /isoperf/in)
  -o DIR      afterwards, copy what was left in the directory out (inside:
              /isoperf/out) to DIR, which must not exist yet
  -t SECONDS  the most that the machine may run (default 540)
  -m MIB      the machine's memory (default 2048)
  -a ACCEL    qemu's accelerator (default tcg,thread=multi; kvm is faster
              where it works)
  -v          name each test; show the kernel's and systemd's messages too
  -h          show this

Inside, CMD is executed at the top of this tree with bin/ in PATH; ISOPERF_VM=1
and ISOPERF_MUST_RUN=1 are set. The exit status is that of the tests or the
command; 124 after a time-out; 125 when the machine did not get that far; 2
when something is missing (scripts/setup vm installs what is needed).

The image (about 500 MiB) is cached in ${XDG_CACHE_HOME:-~/.cache}/isoperf/vm.
USAGE
}

packages=() regex=. user=root groups=v2 given='' copy='' form='' seconds=540 memory=2048 accel=tcg,thread=multi verbose='' short=''
while getopts p:r:u:g:i:o:qst:m:a:vh option; do
	case $option in
	p) packages+=("$OPTARG") ;;
	r) regex=$OPTARG ;;
	u) user=$OPTARG ;;
	g) groups=$OPTARG ;;
	i) given=$(realpath -e "$OPTARG") ;;
	o) copy=$(realpath -m "$OPTARG") ;;
	q) form=-short ;;
	s) short=1 ;;
	t) seconds=$OPTARG ;;
	m) memory=$OPTARG ;;
	a) accel=$OPTARG ;;
	v) verbose=1 ;;
	h) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [[ $user != root && $user != tester ]]; then
	usage >&2
	exit 2
fi
case $groups in
v2) layout='' suite=scripts/vm/suite ;;
hybrid) layout='systemd.unified_cgroup_hierarchy=0' suite=scripts/vm/suite-v1 ;;
v1) layout='systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1' suite=scripts/vm/suite-v1 ;;
*) usage >&2 && exit 2 ;;
esac

die() {
	echo "run.sh: $*" >&2
	exit 2
}

[[ -z $copy || ! -e $copy ]] || die "$copy is there already"
cd "$(dirname "$0")/../.."
export PATH=$PATH:/usr/sbin:/sbin
for tool in go qemu-system-x86_64 mke2fs mmdebstrap; do
	command -v "$tool" >/dev/null || die "$tool is not here; scripts/setup vm installs it (go: https://go.dev/dl)"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/isoperf-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The image is made anew when what it is made from changes.
key=$(cat scripts/vm/image scripts/vm/root scripts/vm/packages | sha256sum | cut -c 1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/isoperf/vm
image=$cache/$key
if [[ ! -s $image/disk ]]; then
	echo "run.sh: build the machine's image (a minute)" >&2
	mkdir -p "$cache"
	new=$(mktemp -d "$cache/new.XXXXXX")
	trap 'rm -rf "$work" "$new"' EXIT
	scripts/vm/image "$new" || die "there is no image"
	rm -rf "$cache"/????????????????
	mv -T "$new" "$image"
fi

# The second disk: this tree with its programs and test binaries, and the job.
export CGO_ENABLED=0 GOOS=linux GOARCH=amd64
tree=$work/tree
mkdir -p "$tree/bin" "$tree/in" "$tree/out"
{ git ls-files -z -co --exclude-standard 2>/dev/null || find . -path ./bin -prune -o -type f -print0; } |
	tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$tree"
[[ -z $given ]] || cp -a "$given/." "$tree/in" || die "copy $given: see above"
make -s build BIN="$tree/bin" || die "the programs do not compile"

# add USER PACKAGE REGEX [FLAGS...] puts tests on the disk and into the job.
add() {
	local package=${2#./}
	if [[ ! -e $tree/$package/binary.test ]]; then
		go test -c -o "$tree/$package/binary.test" "./$package" || die "the tests of $package do not compile"
		[[ -s $tree/$package/binary.test ]] || die "package $package has no tests"
	fi
	printf 'check %q %q %q' "$1" "$package" "$3"
	shift 3
	printf ' %q' "-test.timeout=$((seconds * 9 / 10))s" ${verbose:+-test.v} ${short:+-test.short} "$@"
	printf ' || code=1\n'
}

{
	if ((${#packages[@]} > 0)); then
		for package in "${packages[@]}"; do
			add "$user" "$package" "$regex"
		done
	elif (($# == 0)); then
		while read -r who package what flags; do
			# shellcheck disable=SC2086 # words
			[[ -z $who || $who == \#* ]] || add "$who" "$package" "$what" $flags
		done <"$suite$form"
	fi
	if (($# > 0)); then
		printf 'as %q' "$user"
		printf ' %q' "$@"
		printf ' || code=$?\n'
	fi
	echo "(exit \$code)"
} >"$tree/job"
chmod -R a+rX "$tree"
chmod 1777 "$tree/out"
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$tree" "$work/disk" "$(($(du -sm "$tree" | cut -f 1) * 5 / 4 + 64))M" >/dev/null
rm -rf "$tree"

messages=quiet
if [[ -n $verbose ]]; then
	messages='systemd.log_target=console loglevel=6'
	: >"$work/console"
	tail -f "$work/console" >&2 &
	trap 'kill %tail; rm -rf "$work"' EXIT
fi
mkfifo "$work/out"
# shellcheck disable=SC2094 # it is a pipe
exec 3<>"$work/out" 4<"$work/out" # so that nobody waits for a machine that does not start
cat <&4 3>&- &
output=$!
status=0
timeout "$seconds" qemu-system-x86_64 -M q35 -cpu max -accel "$accel" -smp 2 -m "$memory" -display none -no-reboot -nic none \
	-kernel "$image/kernel" -initrd "$image/initramfs" -append "console=ttyS0 panic=-1 mitigations=off random.trust_cpu=on tsc=reliable clocksource=tsc $layout $messages" \
	-drive "file=$image/disk,format=raw,if=virtio,snapshot=on" -drive "file=$work/disk,format=raw,if=virtio,snapshot=on" \
	-device virtio-rng-pci -device virtio-serial-pci \
	-chardev "file,id=out,path=$work/out" -device virtserialport,chardev=out,nr=1 \
	-chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status,nr=2 \
	-chardev "file,id=files,path=$work/files" -device virtserialport,chardev=files,nr=3 \
	-serial "file:$work/console" </dev/null 3>&- 4<&- || status=$?
exec 3>&- # the last writer
wait "$output"
if ((status == 124)); then
	echo "run.sh: the machine did not end within $seconds s; give more with -t" >&2
	exit 124
fi
code=$(cat "$work/status" 2>/dev/null || true)
if [[ -z $code ]]; then
	tail -n 40 "$work/console" >&2 2>/dev/null || true
	echo "run.sh: the machine ended (status $status) before the job did; its last messages are above" >&2
	exit 125
fi
if [[ -n $copy ]]; then
	mkdir -p "$copy"
	tar -C "$copy" --no-same-owner -xf "$work/files" || die "the files did not arrive whole"
fi
exit "$code"
