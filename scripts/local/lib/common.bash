# shellcheck shell=bash disable=SC2034 # what is set here is read by the scripts and the other files of lib/
#
# Summary: What every script of the local suite needs: its arguments, the places, the messages, the lock
#
# A deployment is one directory, $OCTOPOD_SUITE_DATA/deployments/NAME:
#
#   release/checkout  the source as it was asked for
#   release/version   three lines: what that is (a commit, or the directory it was copied from), its source, its ref
#   data/             belongs to the app; only cleanup removes it
#   port              kept for this deployment until cleanup
#   process           pid, start time and boot of what was started last; absent when it was stopped
#   app.log           what the app wrote, and app.log.1 before that
set -euo pipefail

# Bytes in, bytes out: a value need not be valid in the language of the server.
export LC_ALL=C
umask 077

say() { printf '%s\n' "$*"; }

complain() { printf '%s\n' "$*" >&2; }

# Never 2 or 3: from `check` those would mean something else.
fail() {
  complain "$@"
  exit 1
}

suite=$(cd -P -- "${BASH_SOURCE[0]%/*}/.." && printf '%s' "$PWD")
suite_data=${OCTOPOD_SUITE_DATA:-}
[[ $suite_data ]] || fail "OCTOPOD_SUITE_DATA is not set: it must name the directory where this suite keeps its state."
[[ $suite_data == /* ]] || suite_data=$PWD/$suite_data
deployments=$suite_data/deployments
mirrors=$suite_data/mirrors

base_domain=localhost
name=
source=
ref=
process=
application_config=() # K=V, in the order given
unused_keys=()

# Reads the arguments of contract 2. What is not given or empty becomes the default of this suite.
parse_arguments() {
  while (($#)); do
    (($# > 1)) || fail "The argument $1 has no value."
    case $1 in
      --project-name | --namespace) ;; # nothing here depends on them
      --base-domain) base_domain=$2 ;;
      --name) name=$2 ;;
      --application-config) add_application_config "$2" ;;
      --deployment-config) set_deployment_config "$2" ;;
      *) fail "The argument $1 is not known." ;;
    esac
    shift 2
  done
  source=${source:-$suite/sample-app}
  process=${process:-web}
}

add_application_config() {
  [[ $1 == ?*=* ]] || fail "An application configuration is KEY=VALUE, not \"$1\"."
  application_config+=("$1")
}

set_deployment_config() {
  case $1 in
    source=*) source=${1#*=} ;;
    ref=*) ref=${1#*=} ;;
    process=*) process=${1#*=} ;;
    ?*=*) unused_keys+=("${1%%=*}") ;;
    *) fail "A deployment configuration is KEY=VALUE, not \"$1\"." ;;
  esac
}

# Reads the arguments of a script that is about one deployment and sets `home`, its directory.
parse_deployment_arguments() {
  parse_arguments "$@"
  [[ $name =~ ^[a-z0-9][a-z0-9-]*$ ]] || fail "\"$name\" cannot be the name of a deployment."
  [[ -d $deployments && -x $deployments ]] || fail "Cannot look into $deployments: has \`init\` been run?"
  home=$deployments/$name
}

# Lets one script at a time work on a deployment. The lock is its directory itself, so that nothing is left behind, and
# the kernel lets go of it when the script dies. Whoever waited while cleanup removed the directory begins with a new one.
lock_deployment() {
  lock=
  until [[ $lock && $home -ef /proc/self/fd/$lock ]]; do
    [[ ! $lock ]] || exec {lock}<&-
    mkdir -p -- "$home"
    { exec {lock}<"$home"; } 2>/dev/null || continue # removed again meanwhile
    flock -w 60 "$lock" || fail "Another script has been at work on $name for a minute. Try again when it is done."
  done
}

# Writes a record of the deployment, one line per argument, so that a reader sees all of it or none.
save() {
  printf '%s\n' "${@:2}" >"$home/$1.new"
  mv -f -- "$home/$1.new" "$home/$1"
}

# Sets `port` to the one kept for the deployment.
load_port() {
  port=
  [[ -r $home/port ]] && read -r port <"$home/port"
}

# Removes also what an app made read-only.
remove_tree() {
  [[ -e $1 ]] || return 0
  chmod -R u+rwX -- "$1" 2>/dev/null || true
  rm -rf -- "$1"
}

# Prints its arguments as one line of CSV (RFC 4180).
csv_line() {
  local separator='' field
  for field; do
    [[ $field != *[$',"\r\n']* ]] || field=\"${field//\"/\"\"}\"
    printf '%s%s' "$separator" "$field"
    separator=,
  done
  printf '\n'
}
