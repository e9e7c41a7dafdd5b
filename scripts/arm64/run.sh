#!/usr/bin/env bash
# Runs the Go tests of one package on arm64: cross-compiled, and executed under
# a real arm64 kernel in an emulated machine.
#
#   go test -c ──► initramfs (init, the binary, busybox) ─┐
#   Debian's arm64 kernel package ──► kernel ─────────────┴► qemu ──► exit code
#
# Nothing is installed and no setting of apt is changed: packages for arm64 are
# downloaded with a configuration of their own, and unpacked into a cache.
set -euo pipefail

usage() {
	cat <<'USAGE'
usage: scripts/arm64/run.sh [-p PACKAGE] [-r REGEX] [-t SECONDS] [-m MIB] [-v]

Run the tests of a Go package on an emulated arm64 machine.

  -p PACKAGE  the package to test (default ./runtime/program)
  -r REGEX    which tests, as go test -run takes it (default .)
  -t SECONDS  the most that the machine may run (default 900)
  -m MIB      the machine's memory (default 3072)
  -v          show the kernel's messages too
  -h          show this

The exit status is that of the test binary; 124 after a time-out; 125 when the
machine did not get that far; 2 when something is missing.

Needed: go, qemu-system-aarch64 (Debian: qemu-system-arm), cpio, dpkg-deb and
apt-get of a Debian system. Elsewhere, give an arm64 kernel and a static arm64
busybox as files:

  ISOPERF_ARM64_KERNEL=FILE ISOPERF_ARM64_BUSYBOX=FILE scripts/arm64/run.sh
USAGE
}

package=./runtime/program regex=. seconds=900 memory=3072 verbose=
while getopts p:r:t:m:vh option; do
	case $option in
	p) package=$OPTARG ;;
	r) regex=$OPTARG ;;
	t) seconds=$OPTARG ;;
	m) memory=$OPTARG ;;
	v) verbose=1 ;;
	h) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if (($# > 0)); then
	usage >&2
	exit 2
fi

die() {
	echo "run.sh: $*" >&2
	exit 2
}

need() {
	command -v "$1" >/dev/null || die "$1 is not here; install it (Debian: $2)"
}

cd "$(dirname "$0")/../.."
need go golang
need qemu-system-aarch64 qemu-system-arm
need cpio cpio
cache=${XDG_CACHE_HOME:-$HOME/.cache}/isoperf/arm64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache"

# apt_arm64 runs an apt tool with a state of its own, for arm64 alone.
apt_arm64() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::main=/dev/null -o Dir::Etc::parts=/dev/null \
		-o Dir::State="$cache/apt" -o Dir::State::status="$cache/apt/status" \
		-o Dir::Cache="$cache/apt" -o Dir::Etc::sourcelist=/dev/null \
		-o Dir::Etc::sourceparts="$cache/apt/sources" \
		-o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
		-o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# prepare_apt takes the system's own sources, or only Debian's where they have
# a file of their own, and reads their lists for arm64.
prepare_apt() {
	need apt-get apt
	need dpkg-deb dpkg
	rm -rf "$cache/apt"
	mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial" "$cache/apt/sources"
	: >"$cache/apt/status"
	local file
	for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
		if [[ -s $file ]]; then
			ln -s "$file" "$cache/apt/sources/"
			break
		fi
	done
	apt_arm64 apt-get update >"$work/apt" 2>&1 ||
		die "apt-get update for arm64 failed: $(tail -n 3 "$work/apt"); is the network there?"
}

# fetch NAME DIR downloads an arm64 package and unpacks it.
fetch() {
	[[ -d $cache/apt/sources ]] || prepare_apt
	(cd "$work" && apt_arm64 apt-get download "$1" >"$work/apt" 2>&1) ||
		die "download of $1 for arm64 failed: $(tail -n 3 "$work/apt"); these sources may not have it"
	mkdir -p "$2"
	dpkg-deb -x "$work/${1}"_*.deb "$2"
	rm -f "$work/${1}"_*.deb
}

kernel=${ISOPERF_ARM64_KERNEL:-$cache/kernel}
busybox=${ISOPERF_ARM64_BUSYBOX:-$cache/busybox}
if [[ ! -s $kernel ]]; then
	echo "run.sh: fetch an arm64 kernel" >&2
	prepare_apt
	image=$(apt_arm64 apt-cache depends linux-image-cloud-arm64 |
		sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	[[ -n $image ]] || die "the package linux-image-cloud-arm64 is not in these sources; set ISOPERF_ARM64_KERNEL"
	fetch "$image" "$work/kernel"
	cp "$work"/kernel/boot/vmlinuz-* "$cache/kernel.new"
	mv "$cache/kernel.new" "$kernel"
fi
if [[ ! -s $busybox ]]; then
	echo "run.sh: fetch a static busybox" >&2
	fetch busybox-static "$work/busybox"
	find "$work/busybox" -type f -name busybox -exec cp {} "$cache/busybox.new" \;
	mv "$cache/busybox.new" "$busybox"
fi

export GOOS=linux GOARCH=arm64 CGO_ENABLED=0
root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/test"
go build -o "$root/init" ./scripts/arm64/init || die "init does not compile for arm64"
entry=isoperf/runtime/program/inherit
flags=()
if go list -deps -test "$package" | grep -qx "$entry"; then
	flags=(-ldflags "-R=0x200000 -E=$entry.entry") # as isorun is linked
fi
go test -c "${flags[@]}" -o "$root/test/binary" "$package" || die "the tests of $package do not compile for arm64"
[[ -s $root/test/binary ]] || die "package $package has no tests"
directory=$(go list -f '{{.Dir}}' "$package")
if [[ -d $directory/testdata ]]; then
	cp -r "$directory/testdata" "$root/test/"
fi
printf '%s\n' -test.short -test.v -test.timeout="$((seconds * 9 / 10))s" -test.run "$regex" >"$root/test/args"
install -m 755 "$busybox" "$root/bin/busybox"
for applet in cat chmod cp date dd echo env false grep head id kill ln ls mkdir mount mv ps pwd readlink rm sed sh \
	sleep sort stat tail touch tr true umount uname wc; do
	ln -s busybox "$root/bin/$applet"
done
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$work/initramfs"

quiet=quiet
if [[ -n $verbose ]]; then
	quiet=
fi
status=0
timeout "$seconds" qemu-system-aarch64 -M virt -cpu max -accel tcg -smp 2 -m "$memory" -nographic -no-reboot -nic none \
	-kernel "$kernel" -initrd "$work/initramfs" -append "console=ttyAMA0 panic=-1 $quiet" \
	</dev/null | tr -d '\r' | tee "$work/console" || status=$?
if ((status == 124)); then
	echo "run.sh: the machine did not end within $seconds s; see its output above, or give more with -t" >&2
	exit 124
fi
code=$(sed -n 's/^isoperf-exit \([0-9]*\)$/\1/p' "$work/console" | tail -n 1)
if [[ -z $code ]]; then
	echo "run.sh: the machine ended (status $status) before the tests did; see its output above, or -v" >&2
	exit 125
fi
exit "$code"
