#!/usr/bin/env bash
# bare_debian.sh ROOT [COMMAND...]: try this checkout where nothing is installed.
#
# Makes a Debian 12 root in the folder ROOT with debootstrap (once; a root that is there is used again), clones the last commit of this
# checkout into it, and runs there, as root and with a clean environment, `./demo --json` and `./test`, or COMMAND instead.
# Needs root, and debootstrap: apt-get install debootstrap.
#   --work-tree   copy the work tree as it is, committed or not, instead of cloning
#   --fresh       make ROOT anew
# The way to the package registries is this machine's own: apt's sources and its Acquire settings, pip's and cargo's
# configuration, certificates and proxy variables are handed through as they are found, and none is written here.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
say() { printf 'bare_debian: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }
work_tree='' fresh=''
while [[ "${1:-}" == -* ]]; do
  case $1 in
  -h | --help) usage; exit 0 ;;
  --work-tree) work_tree=yes ;;
  --fresh) fresh=yes ;;
  *) die "unknown option $1" ;;
  esac
  shift
done
(($# >= 1)) || { usage >&2; exit 2; }
root=$1
shift
((EUID == 0)) || die "needs root: debootstrap, mount and chroot"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
# What is mounted below ROOT must go before anything is removed, whatever happened before.
unmount() {
  local point
  for point in dev/shm dev/pts dev sys proc; do
    ! mountpoint -q "$root/$point" || umount -l "$root/$point"
  done
}

if [ -n "$fresh" ] && [ -d "$root" ]; then
  [ -f "$root/etc/debian_version" ] || die "$root is no root of Debian: not removed"
  unmount
  rm -rf --one-file-system "$root"
fi
if [ ! -f "$root/.bare-debian-done" ]; then
  # The archive that apt uses here for Debian 12 itself; debootstrap's default if there is none.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -n 1 || true)
  say "debootstrap of Debian 12 into $root"
  debootstrap --variant=minbase --include=ca-certificates,git bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; die "debootstrap failed; the whole log: $root.log"; }
  touch "$root/.bare-debian-done"
fi
root=$(cd "$root" && pwd)

# The way out: name resolution, apt's sources and settings, certificates, configuration of pip and cargo.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d"
mkdir -p "$root/etc/apt/sources.list.d"
for name in sources.list sources.list.d auth.conf auth.conf.d trusted.gpg trusted.gpg.d keyrings; do
  [ ! -e "/etc/apt/$name" ] || cp -rL "/etc/apt/$name" "$root/etc/apt/"
done
cp -rL /usr/share/keyrings/. "$root/usr/share/keyrings/"
# Settings, without the hooks of programs that are not in the root.
apt-config dump | grep -E '^Acquire::(http|https|ftp|Check|Retries|AllowInsecure|AllowWeak)' >"$root/etc/apt/apt.conf.d/99host" || true
mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/ssl/certs" "$root/root/.cargo"
cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
for file in etc/pip.conf root/.config/pip/pip.conf root/.pip/pip.conf; do
  [ ! -f "/$file" ] || install -D "/$file" "$root/$file"
done
for file in config config.toml; do
  [ ! -f "${CARGO_HOME:-$HOME/.cargo}/$file" ] || cp -L "${CARGO_HOME:-$HOME/.cargo}/$file" "$root/root/.cargo/"
done
environment=(HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" CI="${CI:-}")
while IFS='=' read -r -d '' name value; do
  case ${name^^} in
  *_PROXY | PIP_INDEX_URL | PIP_EXTRA_INDEX_URL | PIP_CERT | PIP_DEFAULT_TIMEOUT | CARGO_REGISTRIES_* | CARGO_SOURCE_* | CARGO_HTTP_* | CARGO_NET_* | SSL_CERT_FILE | \
    SSL_CERT_DIR | *CA_BUNDLE | *_SSL_CAINFO) environment+=("$name=$value") ;;
  esac
done < <(env -0)

# The project: what is committed, as a newcomer gets it.
rm -rf "$root/tidepool"
if [ -n "$work_tree" ]; then
  say "copying the work tree"
  mkdir "$root/tidepool"
  (cd "$here" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
    tar --null -T - -cf -) | tar -xf - -C "$root/tidepool"
else
  say "cloning $(git -C "$here" log -1 --format='%h %s')"
  git clone --quiet --no-hardlinks "$here" "$root/tidepool"
fi

trap unmount EXIT
trap 'exit 130' INT TERM HUP
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --bind /dev "$root/dev"
mkdir -p "$root/dev/shm"
mount --bind /dev/shm "$root/dev/shm"
run() {
  say "in the root: $*"
  local began=$SECONDS code=0
  # A login shell would read files of the root; this one sees what is given here and nothing else.
  chroot "$root" /usr/bin/env -i "${environment[@]}" /bin/bash -c 'cd /tidepool && exec "$@"' run "$@" </dev/null || code=$?
  say "in the root: $* ended with code $code after $((SECONDS - began)) s"
  return "$code"
}
if (($#)); then
  run "$@"
else
  run ./demo --json
  run ./test
fi
