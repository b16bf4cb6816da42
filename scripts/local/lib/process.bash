# shellcheck shell=bash disable=SC2154 # what is not set here is set by common.bash
#
# Summary: The app as processes of this machine: recognising them, stopping them, its port, starting it

# Below the range from which Linux takes ports for outgoing connections.
first_port=20000
port_count=10000

pid=      # the process started last, while it runs
port=     # the one kept for the deployment
stat=()   # the fields of /proc/PID/stat from the third on
identity= # what tells a process from every other
taken=()  # port -> why it is not free

# The second field, the program's name, may hold anything; what follows its last parenthesis is plain.
read_stat() {
  local line
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra stat <<<"${line##*) }"
}

# A zombie has ended; only nobody has asked yet how.
is_alive() { read_stat "$1" && [[ ${stat[0]} != [ZX] ]]; }

# A pid is used again; but no two processes share pid, start time and boot.
identify() {
  local boot
  read -r boot </proc/sys/kernel/random/boot_id
  is_alive "$1" && identity="$1 ${stat[19]:-} $boot"
}

# Says whether the process recorded last runs, and sets `pid`. A stranger that got its pid is not it.
is_running() {
  local record
  pid=
  { read -r record <"$home/process"; } 2>/dev/null || return 1
  identify "${record%% *}" && [[ $identity == "$record" ]] && pid=${record%% *}
}

# Prints the pids of all that runs of the deployment: what has its DATA_DIR in the environment, recorded or not, and the
# session of the recorded process, because a program may overwrite its environment.
list_processes() {
  local candidate
  [[ -r /proc/self/environ ]] || fail "Cannot tell what runs on this machine: /proc cannot be read."
  command -v grep >/dev/null || fail "Cannot tell what runs on this machine: there is no grep."
  while IFS=/ read -r _ _ candidate _; do
    if is_alive "$candidate"; then say "$candidate"; fi
  done < <(grep -lzxFs -e "DATA_DIR=$home/data" /proc/[0-9]*/environ)
  is_running || return 0
  for candidate in /proc/[0-9]*; do
    candidate=${candidate#/proc/}
    if is_alive "$candidate" && [[ ${stat[3]} == "$pid" ]]; then say "$candidate"; fi
  done
}

# Ends all that runs of the deployment: asks once, waits ten seconds, insists for five.
stop_processes() {
  local running asked='' began=$SECONDS
  while running=$(list_processes) || exit 1; [[ $running ]]; do
    if ((SECONDS - began > 15)); then
      fail "Could not stop these processes of $name: ${running//$'\n'/ }"
    elif ((SECONDS - began > 10)); then
      send KILL "$running"
    elif [[ ! $asked ]]; then
      send TERM "$running"
      asked=yes
    fi
    sleep 0.05
  done
  rm -f -- "$home/process"
}

send() {
  local pids
  mapfile -t pids < <(sort -nu <<<"$2")
  say "Sending $1 to ${pids[*]}"
  kill "-$1" "${pids[@]}" 2>/dev/null || true # one may have ended meanwhile; the next look will tell
}

# Sets `port`: the one the deployment had, if nothing else listens there now, or a new one. One at a time chooses.
allocate_port() {
  (
    flock 9
    find_taken_ports
    if ! load_port || [[ ${taken[port]:-} ]]; then
      choose_port
      save port "$port"
    fi
  ) 9<"$deployments"
  load_port
}

# Fills `taken`: what listens on this machine, as /proc tells it in hexadecimal, and what is kept for other deployments.
find_taken_ports() {
  local address record number
  taken=()
  while read -r _ address _; do
    taken[16#${address##*:}]=listening
  done < <(grep -hs ' 0A ' /proc/net/tcp /proc/net/tcp6) # read one line at a time, these files would be made anew for each
  for record in "$deployments"/*/port; do
    [[ -r $record && $record != "$home/port" ]] || continue
    read -r number <"$record" && taken[number]=kept
  done
}

# Begins anywhere, so that two Octopods on one machine hardly ever want the same.
choose_port() {
  local tries start=$RANDOM
  for ((tries = 0; tries < port_count; tries++)); do
    port=$((first_port + (start + tries) % port_count))
    [[ ${taken[port]:-} ]] || return 0
  done
  fail "No port is free from $first_port to $((first_port + port_count - 1))."
}

# Starts the process of the release, with nothing of ours but what it is meant to have, and sees it through its start.
start_process() {
  local command
  command=$(find_command <"$home/release/checkout/Procfile")
  mkdir -p -- "$home/data"
  [[ ! -e $home/app.log ]] || mv -f -- "$home/app.log" "$home/app.log.1"
  say "Starting $process on port $port: $command"
  run_detached "$command" </dev/null >>"$home/app.log" 2>&1 &
  if identify $!; then save process "$identity"; fi
  await_start $!
  say "$process runs as process $pid."
}

# Becomes the command, in a session of its own: no signal meant for us reaches it.
run_detached() {
  close_files
  cd -- "$home/release/checkout" || exit
  exec setsid env -i --default-signal PATH="$PATH" HOME="${HOME:-/}" LANG="${LANG:-C.UTF-8}" \
    "${application_config[@]}" PORT="$port" DATA_DIR="$home/data" bash -c "$1"
}

# The app must not hold our lock, nor whatever else was left open to us.
close_files() {
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    ((fd < 3)) || exec {fd}>&-
  done
}

# Waits until the app listens. Three seconds suffice to see one die at once; how it answers is for `check` to find out.
await_start() {
  local code=0 began=$SECONDS
  while is_running; do
    if is_listening || ((SECONDS - began > 3)); then return 0; fi
    sleep 0.05
  done
  wait "$1" || code=$?
  complain "$process ended at once, with exit code $code. The end of its log, $home/app.log:"
  tail -n 20 -- "$home/app.log" >&2
  exit 1
}

is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
