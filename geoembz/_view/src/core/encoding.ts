/** The Encoding of a store (spec/encoding.md): its JSON part and arrays, checked; and prefixes of it. */

import { ViewerError } from "./errors.js";
import { Json } from "./json.js";

export type QuantizerKind =
  | "int8"
  | "int4"
  | "int2"
  | "ternary"
  | "binary"
  | "pq"
  | "rq"
  | "power"
  | "float16"
  | "float32";
export type QuantizerLaw = "linear" | "codebook" | "product" | "residual" | "power" | "identity";
export type ProjectionLaw = "identity" | "orthonormal" | "biorthogonal";

export interface Quantizer {
  readonly kind: QuantizerKind;
  /** Width of one code. */
  readonly bits: number;
  readonly law: QuantizerLaw;
  /** Groups of components with one code each; only of `pq`. */
  readonly nSubquantizers: number | null;
  /** Codewords of a vector, one code each; only of `rq`. */
  readonly nStages: number | null;
  /** Only of `power`. */
  readonly exponent: number;
  readonly factor: number;
}

export interface Projection {
  readonly kind: string;
  readonly law: ProjectionLaw;
  readonly rotated: boolean;
  readonly whiten: number;
}

/** Codes as stored, first axis first: number l of pixel p stands at `l * n + p`. float16 is widened. */
export type Codes = Int8Array | Uint8Array | Float32Array;

export type EncodingArrays = Readonly<Record<string, Float32Array>>;

/** What an Encoding is made of, as plain data for workers. */
export interface EncodingState {
  readonly config: unknown;
  readonly arrays: EncodingArrays;
  /** Of the document it came from. */
  readonly url: string;
  /** Number of leading components; undefined for all. */
  readonly prefix?: number;
}

const LARGEST = 65_536;
const MOST_STAGES = 32;

const BITS: Readonly<Record<QuantizerKind, number>> = {
  int8: 8,
  int4: 4,
  int2: 2,
  ternary: 2,
  binary: 1,
  pq: 8,
  rq: 8,
  power: 8,
  float16: 16,
  float32: 32,
};

const LAWS: Readonly<Record<QuantizerKind, readonly QuantizerLaw[]>> = {
  int8: ["linear", "codebook"],
  int4: ["linear", "codebook"],
  int2: ["linear", "codebook"],
  ternary: ["codebook"],
  binary: ["codebook"],
  pq: ["product"],
  rq: ["residual"],
  power: ["power"],
  float16: ["identity"],
  float32: ["identity"],
};

const LEVELS: Partial<Readonly<Record<QuantizerKind, number>>> = {
  int8: 255,
  int4: 16,
  int2: 4,
  ternary: 3,
  binary: 2,
};

/** A fitted recipe: everything needed to turn codes into vectors. */
export class Encoding {
  /** D, length of an original vector. */
  readonly dimension: number;
  /** K, number of components. */
  readonly nComponents: number;
  readonly recipe: string;
  /** Whether vectors were scaled to length 1 first. */
  readonly normalize: boolean;
  readonly projection: Projection;
  readonly quantizer: Quantizer;

  constructor(readonly state: EncodingState) {
    const config = new Json(state.config, state.url, "geoembz:encoding");
    onlyKeys(config, ["dimension", "recipe", "normalize", "projection", "quantizer"]);
    this.dimension = config.at("dimension").integer(1, LARGEST);
    this.recipe = config.at("recipe").text();
    this.normalize = config.at("normalize").value === true;
    const all = config.at("projection").at("n_components").integer(1, this.dimension);
    this.projection = readProjection(config.at("projection"));
    this.quantizer = readQuantizer(config.at("quantizer"), all);
    this.nComponents = state.prefix ?? all;
    this.checkArrays(all);
  }

  /** L, stored numbers per pixel. */
  get codeLength(): number {
    const { bits, nSubquantizers, nStages } = this.quantizer;
    const counted = nSubquantizers ?? nStages;
    if (counted !== null) return counted;
    return Math.ceil((this.nComponents * Math.min(bits, 8)) / 8);
  }

  /** Components that one stored number speaks of: of `rq` each adds to all. */
  get componentsPerCode(): number {
    const { bits, nSubquantizers, nStages } = this.quantizer;
    if (nStages !== null) return this.nComponents;
    if (nSubquantizers !== null) return this.nComponents / nSubquantizers;
    return bits < 8 ? 8 / bits : 1;
  }

  /** Whether codes are bytes, rather than floating-point numbers. */
  get isBytes(): boolean {
    return this.quantizer.bits <= 8;
  }

  /** Whether invalid pixels are told by an array `valid` and not by their codes. */
  get needsMask(): boolean {
    return ["int4", "int2", "binary", "pq", "rq"].includes(this.quantizer.kind);
  }

  /** Whether the first components are an encoding by themselves (spec/format.md, "Prefixes"). */
  get isOrdered(): boolean {
    const { law, rotated } = this.projection;
    return law !== "identity" && !rotated && !["pq", "rq"].includes(this.quantizer.kind);
  }

  /** Return how many of the first stored numbers hold a component. */
  codesUpTo(component: number): number {
    if (this.quantizer.nStages !== null) return this.codeLength;
    return Math.floor(component / this.componentsPerCode) + 1;
  }

  /** Whether it is known how much each component varies: not of a rotation alone. */
  get knowsVariance(): boolean {
    return !this.projection.rotated || this.state.arrays["rotation"] !== undefined;
  }

  /** Variance of each component in the sample before whitening and rotation, shape `(K,)`. */
  get variance(): Float32Array {
    return this.array("variance");
  }

  /** Rows that decode, shape `(K, D)`; null for `identity`. */
  get matrix(): Float32Array | null {
    return this.projection.law === "identity" ? null : this.array("projection");
  }

  /** Mean of the fit's sample, shape `(D,)`; null for `identity`. */
  get mean(): Float32Array | null {
    return this.projection.law === "identity" ? null : this.array("mean");
  }

  /** Rows that encode, shape `(K, D)`; null for `identity`. */
  get encoder(): Float32Array | null {
    return this.projection.law === "biorthogonal" ? this.array("inverse") : this.matrix;
  }

  /** Return an array of the encoding, C order; of a prefix, that of all components, whose first rows count. */
  array(name: string): Float32Array {
    const found = this.state.arrays[name];
    if (found === undefined) throw this.damaged(`encoding/${name} is missing`);
    return found;
  }

  /** Return the metrics that suit these codes, as `geoembz.search` takes them. */
  metrics(): ("cosine" | "dot" | "euclidean" | "hamming")[] {
    const vectors: ("cosine" | "dot" | "euclidean" | "hamming")[] = ["cosine", "dot", "euclidean"];
    return this.quantizer.kind === "binary" ? [...vectors, "hamming"] : vectors;
  }

  /** Return the encoding of the first `count` components, a whole number of stored bytes. */
  firstComponents(count: number): Encoding {
    const step = this.componentsPerCode;
    if (count >= this.nComponents) return this;
    if (!this.isOrdered || count < 1 || count % step !== 0) {
      throw new ViewerError(
        "invalid-query",
        this.state.url,
        `${count} components of ${this.recipe}: only ordered components have a prefix, of a multiple of ${step}`,
      );
    }
    return new Encoding({ ...this.state, prefix: count });
  }

  /** Names and shapes of the arrays that this kind of encoding has, of all `count` components. */
  private shapes(count: number): Record<string, number[]> {
    const { kind, law, nSubquantizers, nStages } = this.quantizer;
    const shapes: Record<string, number[]> = { variance: [count] };
    if (this.projection.law !== "identity") {
      shapes["projection"] = [count, this.dimension];
      shapes["mean"] = [this.dimension];
      if (this.projection.law === "biorthogonal") shapes["inverse"] = [count, this.dimension];
      if (this.projection.rotated && this.projection.kind !== "none") shapes["rotation"] = [count, count];
    }
    if (law === "linear") Object.assign(shapes, { scale: [count], offset: [count] });
    if (law === "codebook") shapes["codebook"] = [count, LEVELS[kind] ?? 0];
    if (law === "product") shapes["codebook"] = [nSubquantizers ?? 1, 256, count / (nSubquantizers ?? 1)];
    if (law === "residual") shapes["codebook"] = [nStages ?? 1, 256, count];
    if (kind === "binary") shapes["threshold"] = [count];
    return shapes;
  }

  private checkArrays(count: number): void {
    for (const [name, shape] of Object.entries(this.shapes(count))) {
      const length = shape.reduce((product, side) => product * side, 1);
      const array = this.array(name);
      if (array.length !== length) {
        throw this.damaged(`encoding/${name} has ${array.length} numbers; expected ${shape.join(" x ")}`);
      }
      if (!array.every(Number.isFinite)) throw this.damaged(`encoding/${name} holds numbers that are not finite`);
    }
  }

  private damaged(what: string): ViewerError {
    return new ViewerError("damaged", this.state.url, `${what}. The store is damaged; fetch it again.`);
  }
}

function readProjection(json: Json): Projection {
  onlyKeys(json, ["kind", "law", "n_components", "rotated", "whiten"]);
  const law = oneOf(json.at("law"), ["identity", "orthonormal", "biorthogonal"] as const);
  const whiten = json.at("whiten").exists ? json.at("whiten").number() : 0;
  return { kind: json.at("kind").text(), law, rotated: json.at("rotated").value === true, whiten };
}

function readQuantizer(json: Json, nComponents: number): Quantizer {
  onlyKeys(json, ["kind", "bits", "law", "n_components", "n_subquantizers", "n_stages", "exponent", "factor"]);
  const kind = oneOf(json.at("kind"), Object.keys(BITS) as QuantizerKind[]);
  const law = oneOf(json.at("law"), LAWS[kind]);
  const isPower = law === "power";
  const nSubquantizers = kind === "pq" ? json.at("n_subquantizers").integer(1, nComponents) : null;
  const nStages = kind === "rq" ? json.at("n_stages").integer(1, MOST_STAGES) : null;
  if (json.at("n_components").integer(1, LARGEST) !== nComponents || nComponents % (nSubquantizers ?? 1) !== 0) {
    throw unsupported(json, "its numbers of components do not agree");
  }
  return {
    kind,
    bits: json.at("bits").integer(BITS[kind], BITS[kind]),
    law,
    nSubquantizers,
    nStages,
    exponent: isPower ? json.at("exponent").number() : 1,
    factor: isPower ? json.at("factor").number() : 1,
  };
}

function oneOf<Value extends string>(json: Json, values: readonly Value[]): Value {
  const found = values.find((value) => value === json.value);
  if (found === undefined) {
    throw unsupported(json, `${json.path} is ${JSON.stringify(json.value)}; known here: ${values.join(", ")}`);
  }
  return found;
}

function onlyKeys(json: Json, known: readonly string[]): void {
  const unknown = Object.keys(json.object()).filter((key) => !known.includes(key));
  if (unknown.length > 0) throw unsupported(json, `${json.path} has ${unknown.join(", ")}, unknown here`);
}

function unsupported(json: Json, what: string): ViewerError {
  return new ViewerError(
    "unsupported-encoding",
    json.url,
    `this viewer cannot decode the store's recipe: ${what}. Use the viewer of the geoembz that wrote the store.`,
  );
}
