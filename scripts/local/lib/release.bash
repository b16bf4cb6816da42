# shellcheck shell=bash disable=SC2154 # what is not set here is set by common.bash
#
# Summary: From a source to a running release: what create, update and unarchive have in common; needs the three other files

# Puts the source that is asked for in place of what runs. What could go wrong with the source does so while the old
# process still runs.
deploy() {
  prepare_release
  stop_processes
  replace_release
  start_release
}

prepare_release() {
  ((${#unused_keys[@]} == 0)) || say "Not used by this suite: $(join "${unused_keys[@]}")"
  check_environment
  open_source
  refresh_source 900
  resolve
  check_process
  if [[ $repository ]]; then
    say "Checking out $(shown_version "$version")${ref:+ ($ref)} from $(shown_source)"
  else
    say "Copying $source"
  fi
  remove_tree "$home/release.new"
  check_out "$home/release.new/checkout"
  printf '%s\n' "$version" "$source" "$ref" >"$home/release.new/version"
}

# Checkout and version move in one step, so that the one is always the other's.
replace_release() {
  remove_tree "$home/release"
  mv -T -- "$home/release.new" "$home/release"
}

start_release() {
  allocate_port
  start_process
  say "It is at http://$base_domain:$port/"
}

# Says whether the release is what source and ref ask for, as far as this machine knows without asking the network. A
# branch that is gone asks for nothing new. Sets `released` and, where it is known, `version`.
release_is_current() {
  local released_source='' released_ref=''
  released='' version=''
  { IFS= read -r released && IFS= read -r released_source && IFS= read -r released_ref; } \
    2>/dev/null <"$home/release/version" || return 1
  if open_source 2>/dev/null && resolve_locally; then
    [[ $version == "$released" ]]
  else
    [[ $source == "$released_source" && $ref == "$released_ref" ]]
  fi
}
