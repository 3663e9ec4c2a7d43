/** Logistic regression on labelled vectors: scikit-learn's `StandardScaler` and `LogisticRegression(C=1 / l2)`. */

import { ViewerError } from "./errors.js";
import { type Smooth, minimise } from "./minimise.js";

/** Classes by the largest of `weights · x + bias`; probabilities by softmax. */
export interface LinearModel {
  /** In ascending order. */
  readonly classes: readonly string[];
  /** On original vectors, shape `(n_classes, D)`. */
  readonly weights: Float64Array;
  /** Shape `(n_classes,)`. */
  readonly bias: Float64Array;
}

/** Labels are one byte a pixel, and 255 is no class. */
const MOST_CLASSES = 255;

/**
 * Fit a multinomial logistic regression.
 *
 * @param vectors shape `(D,)` each
 * @param labels one for each vector
 * @param options.l2 weight of the squared weights, of standardised features, against the sum of losses
 * @throws ViewerError where there are fewer than two classes
 */
export function train(
  vectors: readonly Float32Array[],
  labels: readonly string[],
  options: { readonly l2?: number } = {},
): LinearModel {
  const classes = [...new Set(labels)].sort();
  const dimension = vectors[0]?.length ?? 0;
  const isMatching = vectors.length === labels.length && vectors.every((vector) => vector.length === dimension);
  if (!isMatching || classes.length < 2 || classes.length > MOST_CLASSES) {
    throw new ViewerError(
      "invalid-query",
      "",
      `${vectors.length} vectors and ${labels.length} labels of ${classes.length} classes; expected one label a vector, ` +
        `of 2 to ${MOST_CLASSES} classes: label some places of another class`,
    );
  }
  const features = standardise(vectors, dimension);
  const targets = labels.map((label) => classes.indexOf(label));
  // Two classes have one row of weights in scikit-learn; here two opposite halves, whose squares are half as large.
  const l2 = (options.l2 ?? 1) * (classes.length === 2 ? 2 : 1);
  const loss = penalisedLoss(features.rows, targets, classes.length, dimension, l2);
  const fitted = minimise(loss, new Float64Array(classes.length * (dimension + 1)));
  return original(classes, fitted, features, dimension);
}

interface Features {
  /** Standardised, shape `(n, D)`. */
  readonly rows: Float64Array;
  readonly mean: Float64Array;
  /** Standard deviations, 1 where nothing varies. */
  readonly scale: Float64Array;
}

function standardise(vectors: readonly Float32Array[], dimension: number): Features {
  const mean = new Float64Array(dimension);
  const scale = new Float64Array(dimension);
  const rows = new Float64Array(vectors.length * dimension);
  for (let d = 0; d < dimension; d += 1) {
    let sum = 0;
    for (const vector of vectors) sum += vector[d] as number;
    const centre = sum / vectors.length;
    let squares = 0;
    for (const vector of vectors) squares += ((vector[d] as number) - centre) ** 2;
    mean[d] = centre;
    scale[d] = Math.sqrt(squares / vectors.length) || 1;
    vectors.forEach((vector, i) => {
      rows[i * dimension + d] = ((vector[d] as number) - centre) / (scale[d] as number);
    });
  }
  return { rows, mean, scale };
}

/** Return the sum of the cross-entropies and the penalty, of parameters `(n_classes, D + 1)`, the bias last in each row. */
function penalisedLoss(
  rows: Float64Array,
  targets: readonly number[],
  nClasses: number,
  dimension: number,
  l2: number,
): Smooth {
  const width = dimension + 1;
  const outputs = new Float64Array(nClasses);
  return (parameters, gradient) => {
    let loss = 0;
    for (let i = 0; i < parameters.length; i += 1) {
      const isBias = i % width === dimension;
      const weight = isBias ? 0 : (parameters[i] as number);
      loss += 0.5 * l2 * weight * weight;
      gradient[i] = l2 * weight;
    }
    targets.forEach((target, row) => {
      const from = row * dimension;
      for (let c = 0; c < nClasses; c += 1) {
        let sum = parameters[c * width + dimension] as number;
        for (let d = 0; d < dimension; d += 1) sum += (parameters[c * width + d] as number) * (rows[from + d] as number);
        outputs[c] = sum;
      }
      loss += softmax(outputs, target);
      for (let c = 0; c < nClasses; c += 1) {
        const excess = (outputs[c] as number) - Number(c === target);
        const at = c * width;
        for (let d = 0; d < dimension; d += 1) {
          gradient[at + d] = (gradient[at + d] as number) + excess * (rows[from + d] as number);
        }
        gradient[at + dimension] = (gradient[at + dimension] as number) + excess;
      }
    });
    return loss;
  };
}

/** Turn outputs into probabilities, in place, and return minus the logarithm of the target's. */
function softmax(outputs: Float64Array, target: number): number {
  const largest = outputs.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const wanted = outputs[target] as number;
  let sum = 0;
  for (let c = 0; c < outputs.length; c += 1) {
    outputs[c] = Math.exp((outputs[c] as number) - largest);
    sum += outputs[c] as number;
  }
  for (let c = 0; c < outputs.length; c += 1) outputs[c] = (outputs[c] as number) / sum;
  return Math.log(sum) + largest - wanted;
}

/** Undo the standardisation in weights and bias. */
function original(
  classes: readonly string[],
  fitted: Float64Array,
  { mean, scale }: Features,
  dimension: number,
): LinearModel {
  const weights = new Float64Array(classes.length * dimension);
  const bias = new Float64Array(classes.length);
  classes.forEach((_, c) => {
    let constant = fitted[c * (dimension + 1) + dimension] as number;
    for (let d = 0; d < dimension; d += 1) {
      const weight = (fitted[c * (dimension + 1) + d] as number) / (scale[d] as number);
      weights[c * dimension + d] = weight;
      constant -= weight * (mean[d] as number);
    }
    bias[c] = constant;
  });
  return { classes, weights, bias };
}
