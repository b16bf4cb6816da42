# shellcheck shell=bash disable=SC2154 # what is not set here is set by common.bash
#
# Summary: The app's environment: what may be set, and what its .env.example offers

offered=()             # the names in .env.example, in its order
declare -A defaults=() # name -> value, for the names that have one

is_variable_name() { [[ $1 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; }

is_reserved() { [[ $1 == PORT || $1 == DATA_DIR ]]; }

# Complains of every key of the application configuration that cannot become an environment variable.
check_environment() {
  local pair key result=0
  for pair in "${application_config[@]}"; do
    key=${pair%%=*}
    if ! is_variable_name "$key"; then
      complain "\"$key\" cannot be the name of an environment variable: it may have letters, digits and _ only, no digit first."
    elif is_reserved "$key"; then
      complain "$key cannot be set: every deployment is given its own."
    else
      continue
    fi
    result=1
  done
  return "$result"
}

# Fills `offered` and `defaults` from a file of KEY=VALUE lines on stdin, but for what nobody may set.
read_example() {
  local line key entry='^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*(=(.*))?$'
  while IFS= read -r line || [[ $line ]]; do
    [[ ${line%$'\r'} =~ $entry ]] || continue
    key=${BASH_REMATCH[2]}
    ! is_reserved "$key" || continue
    [[ -v defaults[$key] ]] || offered+=("$key")
    defaults[$key]=$(unquote "${BASH_REMATCH[4]}")
  done
}

# Prints the value meant by what stands right of the =: 'as it is', "with \n and \"", or bare up to a comment.
unquote() {
  local value=$1 single="^[[:space:]]*'([^']*)'" double='^[[:space:]]*"((\\.|[^"\\])*)"'
  if [[ $value =~ $single ]]; then
    printf '%s' "${BASH_REMATCH[1]}"
  elif [[ $value =~ $double ]]; then
    unescape "${BASH_REMATCH[1]}"
  else
    trim "${value%%[[:space:]]#*}"
  fi
}

unescape() {
  local rest=$1
  while [[ $rest == *\\* ]]; do
    printf '%s' "${rest%%\\*}"
    rest=${rest#*\\}
    case $rest in
      n*) printf '\n' ;;
      t*) printf '\t' ;;
      *) printf '%s' "${rest:0:1}" ;;
    esac
    rest=${rest:1}
  done
  printf '%s' "$rest"
}

trim() {
  local value=$1
  value=${value#"${value%%[![:space:]]*}"}
  printf '%s' "${value%"${value##*[![:space:]]}"}"
}
