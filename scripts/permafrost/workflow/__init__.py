"""What Snakemake is told, and how its jobs are started."""
