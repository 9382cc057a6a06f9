"""The yardstick: what a model's numbers are worth, and how good its samples and representations are."""

from .annealing import Bracket, annealed_average_log_prob, annealed_log_prob, bracket
from .classifier import DigitClassifier, train_classifier
from .coverage import ModeCoverage, mode_coverage
from .disentanglement import DCI, dci, mutual_information, mutual_information_gap, sap_score
from .families import abilities, family_map
from .faults import FAULTS, METRICS, FaultTable, Sources, fault_table, inject, parzen_log_prob, readings
from .features import course_classifier, course_features
from .frechet import (
    FrechetCurve,
    expected_frechet_bias,
    frechet_distance,
    gaussian_frechet_distance,
    unbiased_frechet_distance,
)
from .kernels import kernel_distance, median_bandwidth, mmd
from .likelihood import (
    Estimate,
    average_log_prob,
    grid_posterior,
    importance_weighted_log_prob,
    integrated_log_prob,
    linear_gaussian_log_prob,
)
from .memorization import MemorizationTest, memorization_test
from .nearest import nearest_distance
from .neighbors import ManifoldScores, manifold_scores, neighbor_radii
from .outliers import auroc, outlier_aurocs, strange_images
from .recognition import inception_style_score
from .report import QUANTITIES, Quantity, Report, evaluate
from .representation import knn_probe, linear_probe
from .scoreboard import Scoreboard, places, scoreboard
from .strongest import strongest_log_prob
from .supervised import error_of_border, learning_curves, logistic_regression
from .two_sample import TwoSampleTest, classifier_two_sample_test, permutation_test

__all__ = [
    "DCI",
    "FAULTS",
    "METRICS",
    "QUANTITIES",
    "Bracket",
    "DigitClassifier",
    "Estimate",
    "FaultTable",
    "FrechetCurve",
    "ManifoldScores",
    "MemorizationTest",
    "ModeCoverage",
    "Quantity",
    "Report",
    "Scoreboard",
    "Sources",
    "TwoSampleTest",
    "abilities",
    "annealed_average_log_prob",
    "annealed_log_prob",
    "auroc",
    "average_log_prob",
    "bracket",
    "classifier_two_sample_test",
    "course_classifier",
    "course_features",
    "dci",
    "error_of_border",
    "evaluate",
    "expected_frechet_bias",
    "family_map",
    "fault_table",
    "frechet_distance",
    "gaussian_frechet_distance",
    "grid_posterior",
    "importance_weighted_log_prob",
    "inception_style_score",
    "inject",
    "integrated_log_prob",
    "kernel_distance",
    "knn_probe",
    "learning_curves",
    "linear_gaussian_log_prob",
    "linear_probe",
    "logistic_regression",
    "manifold_scores",
    "median_bandwidth",
    "memorization_test",
    "mmd",
    "mode_coverage",
    "mutual_information",
    "mutual_information_gap",
    "nearest_distance",
    "neighbor_radii",
    "outlier_aurocs",
    "parzen_log_prob",
    "permutation_test",
    "places",
    "readings",
    "sap_score",
    "scoreboard",
    "strange_images",
    "strongest_log_prob",
    "train_classifier",
    "unbiased_frechet_distance",
]
