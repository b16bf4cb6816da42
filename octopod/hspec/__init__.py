"""From a service spec to a running service: Dockerfile, image, manifests, deployment. Knows nothing of the server.

`service.py` is what all layers speak of, `errors.py` how they fail, `talk.py` how they report. The layers, each a
package of its own: `spec/` reads and checks files, `images/` writes Dockerfiles, builds and pushes, `manifests/`
generates, `cluster/` applies and looks, `workflow.py` drives them one after the other, `commands/` is what people type.
"""
