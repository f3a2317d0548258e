"""What runs in the children of the supervisor: Girder's server, its worker, and what the two need."""
