"""How patches come in: fields, manifests, tar and multipart streams, uploads of Girder."""
