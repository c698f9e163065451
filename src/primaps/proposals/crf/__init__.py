"""The dense CRF (Kraehenbuehl & Koltun 2011); see ``README.md`` here for who calls whom."""
