"""Stand-ins for Amazon Web Services on loopback, public: test code of your own with them."""
