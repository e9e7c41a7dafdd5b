# Writes the samples that statistics_test.go holds against R's wilcox.test (r-base-core):
#   Rscript statistics.R     in this folder; then ./statistics.sh for benchstat
set.seed(7)
series <- list(
  lognormal = list(round(1e5 * exp(0.1 * rnorm(80))), round(1.06e5 * exp(0.1 * rnorm(70)))),
  bimodal   = list(round(1e5 * ifelse(runif(120) < 0.6, 1, 1.5) * exp(0.02 * rnorm(120))), round(1.03e5 * ifelse(runif(120) < 0.6, 1, 1.5) * exp(0.02 * rnorm(120)))),
  heavy     = list(round(1e5 * runif(100)^(-1 / 1.5)), round(1.3e5 * runif(90)^(-1 / 1.5))),
  few       = list(c(1003, 1011, 1024, 1032, 1047, 1056, 1061, 1078), c(1042, 1059, 1066, 1081, 1094, 1107, 1112, 1120)),
  ties      = list(rep(c(10, 11, 12, 13), 15), rep(c(11, 12, 13, 14), 15)))
samples <- file("statistics-samples.txt", "w")
golden <- file("statistics-r.txt", "w")
for (name in names(series)) {
  old <- series[[name]][[1]]; new <- series[[name]][[2]]
  cat(name, "old", old, "\n", file = samples)
  cat(name, "new", new, "\n", file = samples)
  exact <- length(old) < 50
  t <- wilcox.test(log(new), log(old), exact = exact, conf.int = TRUE, tol.root = 1e-9)
  cat(name, sprintf("%.6g", c(t$p.value, exp(t$estimate), exp(t$conf.int))), "\n", file = golden)
}
close(samples); close(golden)
