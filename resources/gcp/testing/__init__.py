"""Stand-ins for Google Cloud on loopback, public: test code of your own with them."""
