"""A stand-in for a Databricks workspace on loopback, public: test code of your own with it."""
