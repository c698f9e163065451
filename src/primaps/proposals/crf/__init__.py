"""The dense CRF (Krähenbühl & Koltun 2011); ``README.md`` here says who calls whom."""
