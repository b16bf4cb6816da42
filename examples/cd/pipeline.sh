#!/usr/bin/env bash
#
# Summary: What a CI job does: deploy a review environment, test it, take it down again
# Usage:   pipeline.sh octo|curl NAME
#
# Needs in the environment OCTOPOD_URL, SERVO_TOKEN and APP_PASSWORD, a secret of the app. `octo` uses the command of that
# name; `curl` does the same with tar, openssl and curl only. Prints the log of the scripts; exits 0 if all went well.
set -euo pipefail

way=${1:?octo or curl} name=${2:?the name of the deployment}
: "${OCTOPOD_URL:?}" "${SERVO_TOKEN:?}" "${APP_PASSWORD:?}"

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
bundle=$scratch/bundle archive=$scratch/bundle.tgz
cp -R -- "$(dirname -- "$0")/bundle" "$bundle"

# What the scripts will find as settings.env.
settings() {
  printf '%s\n' "GREETING=Hello from ${BUILD_TAG:-a pipeline}" "DEMO_PASSWORD=$APP_PASSWORD"
}

case $way in
  octo)
    prepare() {
      settings >"$bundle/settings.env"
      octo encrypt "$bundle/settings.env"
      rm -- "$bundle/settings.env"
    }
    run() {
      octo run "$bundle" "$@" -v "NAME:$name"
    }
    ;;
  curl)
    prepare() {
      settings | openssl enc -aes-256-cbc -pbkdf2 -base64 -pass env:SERVO_TOKEN -out "$bundle/settings.env.aes"
      tar -czf "$archive" -C "$bundle" .
      digest=$(openssl dgst -sha256 -hmac "$SERVO_TOKEN" -r "$archive")
    }
    # Who asks for text is answered 412 when a script has failed.
    run() {
      local IFS=+
      curl --silent --show-error --fail-with-body --write-out '\n' -H 'Accept: text/plain' \
        -H "X-Signature: sha256=${digest%% *}" -H "X-Var-Name: $name" -F "tgz=@$archive" "$OCTOPOD_URL/run/$*"
    }
    ;;
  *)
    echo "pipeline.sh: octo or curl, and not $way" >&2
    exit 2
    ;;
esac

result=0
prepare
run deploy.py test.py || result=$?
run teardown.py || result=$?
exit "$result"
