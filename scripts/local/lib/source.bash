# shellcheck shell=bash disable=SC2154 # what is not set here is set by common.bash
#
# Summary: Where an app comes from: a plain directory, a git repository on this machine, or one behind a URL
#
# Repositories behind a URL are read through a mirror under $OCTOPOD_SUITE_DATA/mirrors, so that only what is new travels.
# The functions complain and return 1; nothing here ends the script, so that config_check can go on to the next question.

# No question is ever asked: nobody is there to answer it.
export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true SSH_ASKPASS_REQUIRE=never GCM_INTERACTIVE=never
export GIT_SSH_COMMAND="${GIT_SSH_COMMAND:-ssh} -oBatchMode=yes -oConnectTimeout=10"
# Without this a source such as ext::COMMAND would be run.
export GIT_ALLOW_PROTOCOL=file:git:http:https:ssh
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE GIT_PREFIX

shopt -s extglob

remote=     # the URL, when the source is one
repository= # the git directory to read from; empty for a plain directory
version=    # what the source is at the ref: a commit, or the plain directory

in_repository() { git --git-dir="$repository" "$@"; }

# The source as it may be shown: without the password that a URL can carry.
shown_source() {
  if [[ $source =~ ^([a-z+]+://)[^/@]*@(.*)$ ]]; then
    printf '%s' "${BASH_REMATCH[1]}${BASH_REMATCH[2]}"
  else
    printf '%s' "$source"
  fi
}

# Finds out what `source` is, without a network. Sets `remote` and `repository`.
open_source() {
  remote='' repository=''
  case $source in
    -* | *[[:cntrl:]]*) ;;
    /*)
      open_directory
      return
      ;;
    *:*)
      open_url
      return
      ;;
  esac
  complain "The source must be the absolute path of a directory or the URL of a git repository, not \"$(shown_source)\"."
  return 1
}

open_directory() {
  if [[ ! -d $source ]]; then
    complain "There is no directory $source on this machine."
  elif [[ ! -r $source || ! -x $source ]]; then
    complain "The directory $source may not be read by the user who runs Octopod."
  elif [[ $suite_data/ == "${source%/}"/* ]]; then
    complain "The directory $source cannot be a source: it contains this suite's own state."
  else
    [[ ! -e $source/.git ]] || repository=$source/.git
    [[ ! -f $source/HEAD || ! -d $source/objects ]] || repository=$source
    return 0
  fi
  return 1
}

open_url() {
  local digest
  read -r digest _ < <(printf '%s' "$source" | sha256sum)
  remote=$source
  repository=$mirrors/$digest.git
}

# Brings the mirror up to date, when the source needs one and the ref could have moved. Takes at most $1 seconds.
refresh_source() {
  local message
  [[ $remote ]] || return 0
  [[ ! $ref =~ ^[0-9a-f]{40}$ ]] || ! resolve_locally || return 0
  mkdir -p -- "$repository"
  message=$(fetch "$1" 2>&1 >/dev/null) || {
    complain "Cannot read $(shown_source): $(first_error "${message//"$source"/$(shown_source)}")"
    return 1
  }
}

fetch() {
  local seconds=$1 refs=('+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*')
  [[ ${ref:-HEAD} != HEAD ]] || refs+=('+HEAD:refs/octopod/HEAD')
  (
    exec {mirror}<"$repository"
    flock -w "$seconds" "$mirror" || fail "another script has been reading it for $seconds seconds."
    remove_stale_locks
    git init --quiet --bare --template= -- "$repository"
    timeout "$seconds" git --git-dir="$repository" -c gc.autoDetach=false -c maintenance.autoDetach=false \
      fetch --quiet --force --prune --no-tags -- "$remote" "${refs[@]}" || {
      (($? != 124)) || complain "no answer within $seconds seconds."
      exit 1
    }
  )
}

# A git that was killed leaves its lock files behind. Ours is the only one at work here, or flock would not have let us in.
remove_stale_locks() (
  shopt -s globstar nullglob
  locks=("$repository"/**/*.lock)
  ((${#locks[@]} == 0)) || rm -f -- "${locks[@]}"
)

# What git says first is what went wrong; what follows is advice.
first_error() {
  local line
  while IFS= read -r line; do
    [[ $line != [Ww]arning:* && $line ]] || continue
    printf '%s' "${line#@(fatal|error|remote): }"
    return 0
  done <<<"$1"
  printf 'git does not say why.'
}

# Sets `version` from what this machine knows already. Prints nothing.
resolve_locally() {
  local revision=${ref:-HEAD}
  if [[ ! $repository ]]; then
    version=$source
    [[ ! $ref ]]
    return
  fi
  [[ $revision != -* && $revision != *[[:cntrl:]]* ]] || return 1
  [[ ! $remote || $revision != HEAD ]] || revision=refs/octopod/HEAD
  version=$(in_repository rev-parse --quiet --verify "$revision^{commit}" 2>/dev/null)
}

# Sets `version`, or says which refs there are.
resolve() {
  if [[ ! $repository && $ref ]]; then
    complain "$source is a plain directory, not a git repository: it has no ref \"$ref\". Take the ref away."
  elif [[ $ref == -* || $ref == *[[:cntrl:]]* ]]; then
    complain "\"$ref\" cannot be the name of a branch, tag or commit."
  elif resolve_locally; then
    return 0
  elif ! in_repository rev-parse --git-dir >/dev/null 2>&1; then
    complain "$(shown_source) is not a git repository that git can read."
  elif [[ ${ref:-HEAD} == HEAD ]]; then
    complain "$(shown_source) has no default branch with a commit. $(known_refs)"
  else
    complain "$(shown_source) has no branch, tag or commit \"$ref\". $(known_refs)"
  fi
  return 1
}

# Names the refs that changed last, few enough to be read.
known_refs() {
  local refs
  mapfile -t refs < <(in_repository for-each-ref --sort=-creatordate --format='%(refname:lstrip=2)' refs/heads refs/tags 2>/dev/null)
  case ${#refs[@]} in
    0) printf 'It has no refs at all.' ;;
    [1-8]) printf 'It has: %s.' "$(join "${refs[@]}")" ;;
    *) printf 'It has: %s and %d more.' "$(join "${refs[@]:0:8}")" $((${#refs[@]} - 8)) ;;
  esac
}

join() {
  local joined
  printf -v joined '%s, ' "$@"
  printf '%s' "${joined%, }"
}

# The version as people write it.
shown_version() {
  if [[ $1 =~ ^[0-9a-f]{40,64}$ ]]; then printf '%s' "${1:0:10}"; else printf '%s' "$1"; fi
}

# Prints a file of the version asked for; fails when there is none.
read_source_file() {
  if [[ $repository ]]; then
    in_repository cat-file blob "$version:$1" 2>/dev/null
  else
    [[ -f $source/$1 ]] && cat -- "$source/$1"
  fi
}

# Says whether the version asked for has a Procfile with the process asked for.
check_process() {
  local procfile
  if procfile=$(read_source_file Procfile); then
    find_command <<<"$procfile" >/dev/null
  else
    complain "$(shown_source) has no Procfile at $(shown_version "$version"): nothing says how to start it."
    return 1
  fi
}

# Prints the command of the process asked for, from the Procfile on stdin.
find_command() {
  local line names=() entry='^([A-Za-z0-9_-]+):[[:space:]]*(.*[^[:space:]])'
  while IFS= read -r line || [[ $line ]]; do
    [[ $line =~ $entry ]] || continue
    if [[ ${BASH_REMATCH[1]} == "$process" ]]; then
      printf '%s' "${BASH_REMATCH[2]}"
      return 0
    fi
    names+=("${BASH_REMATCH[1]}")
  done
  if ((${#names[@]})); then
    complain "The Procfile has no process \"$process\". It has: $(join "${names[@]}")."
  else
    complain "The Procfile has no process \"$process\", nor any other."
  fi
  return 1
}

# Writes the version asked for to a new directory. A repository is only read, its index and work tree are left alone.
check_out() {
  mkdir -p -- "$1"
  if [[ $repository ]]; then
    GIT_INDEX_FILE=$1.index in_repository --work-tree="$1" read-tree --reset -u "$version" && rm -f -- "$1.index"
  else
    cp -R --preserve=mode,timestamps,links -- "$source/." "$1" && chmod -R u+rwX -- "$1"
  fi
}
