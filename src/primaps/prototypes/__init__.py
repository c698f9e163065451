"""Class prototypes: initialisation, the EM method, and the loop that fits them."""
