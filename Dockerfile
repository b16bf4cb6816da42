# The server, with the suite `local` and the commands octo and hspec.
#
#   docker build -t octopod .           (or: buildah bud -t octopod .)
#
# The base is any Debian or Ubuntu image with Python 3.11 or newer in its packages, or in the image itself.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS base
# git, because the suite `local` deploys from repositories, and tini, see below.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git tini \
 && { command -v python3 >/dev/null || apt-get install -y --no-install-recommends python3; } \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update \
 && { python3 -c 'import ensurepip, venv' 2>/dev/null || apt-get install -y --no-install-recommends python3-venv; }
COPY requirements.txt /opt/octopod/
RUN python3 -m venv /opt/octopod/.venv \
 && /opt/octopod/.venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /opt/octopod/requirements.txt \
 && /opt/octopod/.venv/bin/pip uninstall -y pip
COPY app.py wsgi.py gunicorn.conf.py cli.py LICENSE /opt/octopod/
COPY octopod /opt/octopod/octopod
COPY static /opt/octopod/static
COPY templates /opt/octopod/templates
COPY scripts/local /opt/octopod/scripts/local
# Nothing can be written there later.
RUN python3 -m compileall -q /opt/octopod

FROM base
RUN groupadd --gid 1000 octopod \
 && useradd --uid 1000 --gid octopod --create-home octopod \
 && install -d -o octopod -g octopod /var/lib/octopod \
 && ln -s /opt/octopod/cli.py /usr/local/bin/octo \
 && ln -s /opt/octopod/octopod/hspec/bin/hspec /usr/local/bin/hspec
COPY --from=build /opt/octopod /opt/octopod
# /utils is where the chart puts the suite; tools that a suite brings along are found in its bin.
ENV PATH=/opt/octopod/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/utils/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/home/octopod \
    OCTOPOD_HOST=0.0.0.0 \
    OCTOPOD_DATA_DIR=/var/lib/octopod \
    OCTOPOD_DATABASE_URL=sqlite:////var/lib/octopod/octopod.db
WORKDIR /opt/octopod
USER 1000:1000
EXPOSE 8000
VOLUME /var/lib/octopod
# tini, because runs go on without the process that began them, and somebody has to bury them.
ENTRYPOINT ["tini", "--"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
