# Sourced by the scripts beside it: what they need to know about Debian, and how they speak.
# shellcheck shell=bash

# One line to the terminal; standard output belongs to each script's answer.
say() { printf '%s\n' "$*" >&2; }

# A sentence with the next step, then the end.
die() {
  printf 'error: %s\n' "$1" >&2
  [[ -z ${2-} ]] || printf '  next: %s\n' "$2" >&2
  exit 1
}

require_root_on_debian() {
  [[ $(id -u) == 0 ]] || die "$1 has to be installed, and that needs root." "install it yourself, or run this as root"
  command -v apt-get >/dev/null || die "$1 has to be installed, and only Debian's apt-get is known here." "install it yourself"
}

# apt's lists are refreshed at most once an hour: a second script of the same run finds them fresh.
apt_install() {
  local log=$STATE_DIR/apt-install.log stamp=$STATE_DIR/apt-lists
  mkdir -p "$STATE_DIR"
  if [[ -z $(find "$stamp" -mmin -60 2>/dev/null) ]]; then
    apt-get update >"$log" 2>&1 || die "apt-get update failed: $(tail -n 1 "$log")" "read $log"
    touch "$stamp"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1 ||
    die "apt-get install $* failed: $(tail -n 1 "$log")" "read $log"
}

# The address this machine takes Debian's packages from, whatever the format of its source lists.
debian_mirror() {
  local mirror
  # shellcheck disable=SC2016 # apt fills these in
  mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n '/^Debian /{s///;p;q}')
  [[ -n $mirror ]] || die "no source of Debian's packages is configured on this machine." "look at /etc/apt/sources.list.d"
  printf '%s\n' "$mirror"
}

# apt_of <release> <arguments...>: run apt-get on another release, with lists and a cache of its own: nothing of it reaches
# the system's apt.
apt_of() {
  local release=$1 dir=$STATE_DIR/apt-$1 mirror
  shift
  if [[ ! -s $dir/sources.list ]]; then
    mirror=$(debian_mirror)
    mkdir -p "$dir"/{lists/partial,cache/archives/partial,empty}
    chmod -R a+rX "$dir"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$release" >"$dir/sources.list"
  fi
  apt-get -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts="$dir/empty" \
    -o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root "$@"
}

# unpack_from <release> <folder> <packages...>: download packages of another release and unpack them, without installing.
unpack_from() {
  local release=$1 dir=$2 package
  shift 2
  mkdir -p "$dir"
  apt_of "$release" update >"$dir/apt.log" 2>&1 || die "apt-get update for $release failed: $(tail -n 1 "$dir/apt.log")" "read $dir/apt.log"
  (cd "$dir" && rm -f ./*.deb && apt_of "$release" download "$@" >>apt.log 2>&1) ||
    die "$* could not be downloaded: $(tail -n 1 "$dir/apt.log")" "read $dir/apt.log"
  for package in "$dir"/*.deb; do dpkg-deb -x "$package" "$dir"; done
  rm -f "$dir"/*.deb
}
