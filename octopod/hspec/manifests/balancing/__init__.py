"""The load balancers: `ingress` for nginx and traefik, `istio`."""
