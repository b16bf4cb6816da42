"""What a service's manifests are made of: a module per part, each with `snippets(service, context)`."""
