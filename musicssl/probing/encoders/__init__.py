"""What turns audio into features: networks, acoustic baselines, the store, adapters for HEAR and MTEB."""
