"""What any model must beat: a constant, and a linear model on plainly encoded features."""

import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from app.model.manifest import Task


def baselines(task: Task, seed: int) -> dict[str, Pipeline]:
    """The unfitted `dummy` and `linear` for feature tables of `model_frame`."""
    numbers = make_pipeline(
        SimpleImputer(strategy="mean", keep_empty_features=True), StandardScaler()
    )
    dates = make_pipeline(FunctionTransformer(seconds), clone(numbers))
    encode = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("dates", dates, make_column_selector(dtype_include="datetime")),
            (
                "categories",
                OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50),
                make_column_selector(dtype_include=object),
            ),
        ]
    )
    if task == "regression":
        return {
            "dummy": make_pipeline(DummyRegressor()),
            "linear": make_pipeline(encode, RidgeCV()),
        }
    linear = LogisticRegression(max_iter=1000, random_state=seed)
    return {
        "dummy": make_pipeline(DummyClassifier(strategy="prior")),
        "linear": make_pipeline(encode, linear),
    }


def seconds(moments: pd.DataFrame) -> pd.DataFrame:
    """Dates as seconds since 1970; NaN where missing."""
    numbers: pd.DataFrame = moments.apply(
        lambda dates: (dates - pd.Timestamp(0)).dt.total_seconds()
    )
    return numbers
