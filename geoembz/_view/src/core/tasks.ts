/** What can be asked of the pixels of one stored object, and how it is answered. */

import { type Block, Blocks } from "./blocks.js";
import { type ChangeMetric, change } from "./change.js";
import { Classifier, NO_CLASS } from "./classify.js";
import { CoalescedSource } from "./coalesce.js";
import { registerCodecs } from "./codecs.js";
import { Dequantizer, original } from "./decode.js";
import { type Codes, Encoding, type EncodingState } from "./encoding.js";
import { GuardedSource } from "./guard.js";
import { type Fetch, HttpSource, type Traffic } from "./http.js";
import { Best, type Place } from "./nearest.js";
import { parseMetric } from "./metric.js";
import type { Query } from "./query.js";
import { ReducedEncoding } from "./reduced.js";
import { Lengths, Scorer } from "./score.js";
import type { Grid, Level } from "./grids.js";
import type { Store } from "./store.js";
import type { LinearModel } from "./train.js";
import { type Rectangle, paste, within } from "./windows.js";

/** Pixels of one date and one level that lie in one stored object. */
export interface Part extends Rectangle {
  readonly grid: number;
  readonly level: number;
  /** On the stored axis; null without a time axis. */
  readonly position: number | null;
}

/** `id` is the same for all parts of a question, whose preparation is kept. */
export type Task =
  | { readonly op: "components"; readonly part: Part; readonly which: readonly number[] }
  | { readonly op: "scores"; readonly part: Part; readonly query: Query; readonly id: number }
  | { readonly op: "best"; readonly part: Part; readonly query: Query; readonly id: number; readonly k: number }
  | { readonly op: "classes"; readonly part: Part; readonly model: LinearModel; readonly id: number }
  | { readonly op: "change"; readonly part: Part; readonly other: number; readonly metric: ChangeMetric }
  | { readonly op: "codes"; readonly part: Part }
  | { readonly op: "vectors"; readonly part: Part; readonly pixels: readonly (readonly [number, number])[] };

/** Arrays as long as the part has pixels, row-major (of components, one such array after the other). */
export interface Answer {
  readonly values?: Float32Array;
  readonly labels?: Uint8Array;
  readonly valid?: Uint8Array;
  readonly codes?: Codes;
  readonly places?: readonly Place[];
}

/** A store as workers get it. */
export type StoreData = Pick<Store, "url" | "grids"> & { readonly encoding: EncodingState };

const KEPT_QUESTIONS = 8;

/** Answers tasks in the thread that it is made in. */
export class TaskRunner {
  private readonly http: HttpSource;
  private readonly blocks: Blocks;
  private readonly encoding: Encoding;
  /** By number of components, and how they are weighed. */
  private readonly lengths = new Map<string, Lengths>();
  private readonly dequantizer: Dequantizer;
  private readonly questions = new Map<number, Scorer | Classifier>();

  constructor(
    private readonly store: StoreData,
    cacheBytes: number,
    fetcher?: Fetch,
  ) {
    registerCodecs();
    this.encoding = new Encoding(store.encoding);
    this.dequantizer = new Dequantizer(this.encoding);
    this.http = new HttpSource(store.url, fetcher);
    const levels = store.grids.flatMap((grid) => grid.levels.map((level) => level.arrays));
    this.blocks = new Blocks(new GuardedSource(new CoalescedSource(this.http), levels), this.encoding, cacheBytes);
  }

  /** What it has fetched. */
  get traffic(): Traffic {
    return { ...this.http.traffic };
  }

  /** Answer a task; fetches what is not at hand. */
  async run(task: Task, signal?: AbortSignal): Promise<Answer> {
    switch (task.op) {
      case "components":
        return this.components(task.part, task.which, signal);
      case "scores":
        return this.scores(task.part, this.scorer(task), signal);
      case "best":
        return this.best(task.part, this.scorer(task), task.k, signal);
      case "classes":
        return this.classes(task.part, this.classifier(task), signal);
      case "change":
        return this.change(task.part, task.other, task.metric, signal);
      case "codes":
        return this.codes(task.part, signal);
      case "vectors":
        return this.vectors(task.part, task.pixels, signal);
    }
  }

  private async components(part: Part, which: readonly number[], signal?: AbortSignal): Promise<Answer> {
    const size = part.height * part.width;
    const values = new Float32Array(which.length * size).fill(Number.NaN);
    const valid = new Uint8Array(size);
    const needed = this.encoding.codesUpTo(Math.max(...which, 0));
    await this.eachBlock(part, needed, signal, (block, where) => {
      const row = new Float32Array(block.n);
      which.forEach((k, index) => {
        this.dequantizer.write(block.codes, block.n, k, 0, block.n, row);
        paste(row, where, values.subarray(index * size, (index + 1) * size), part);
      });
      paste(block.valid, where, valid, part);
    });
    which.forEach((_, index) => {
      for (let p = 0; p < size; p += 1) if (valid[p] === 0) values[index * size + p] = Number.NaN;
    });
    return { values, valid };
  }

  private async scores(part: Part, scorer: Scorer, signal?: AbortSignal): Promise<Answer> {
    const values = new Float32Array(part.height * part.width).fill(Number.NaN);
    await this.eachBlock(part, scorer.encoding.codeLength, signal, (block, where) => {
      paste(scorer.scores(block), where, values, part);
    });
    return { values };
  }

  private async best(part: Part, scorer: Scorer, k: number, signal?: AbortSignal): Promise<Answer> {
    const { values } = await this.scores(part, scorer, signal);
    const best = new Best(k, scorer.query.metric);
    best.takeAll(values as Float32Array, part);
    return { places: best.places };
  }

  private async classes(part: Part, classifier: Classifier, signal?: AbortSignal): Promise<Answer> {
    const labels = new Uint8Array(part.height * part.width).fill(NO_CLASS);
    const values = new Float32Array(labels.length).fill(Number.NaN);
    await this.eachBlock(part, this.encoding.codeLength, signal, (block, where) => {
      const found = classifier.classes(block);
      paste(found.labels, where, labels, part);
      paste(found.confidence, where, values, part);
    });
    return { labels, values };
  }

  private async change(part: Part, other: number, metric: ChangeMetric, signal?: AbortSignal): Promise<Answer> {
    const values = new Float32Array(part.height * part.width).fill(Number.NaN);
    const level = this.level(part);
    const length = this.encoding.codeLength;
    const lengths = this.lengthsOf(this.encoding);
    await this.eachBlock(part, length, signal, async (block, where) => {
      const row = where.row / block.rows;
      const col = where.col / block.cols;
      const after = await this.blocks.read(level, other, row, col, length, signal);
      paste(change(block, after, metric, lengths), where, values, part);
    });
    return { values };
  }

  private async codes(part: Part, signal?: AbortSignal): Promise<Answer> {
    const size = part.height * part.width;
    const { codeLength, isBytes, quantizer } = this.encoding;
    const isSigned = quantizer.kind === "int8" || quantizer.kind === "power";
    const type = !isBytes ? Float32Array : isSigned ? Int8Array : Uint8Array;
    const codes = new type(codeLength * size);
    const valid = new Uint8Array(size);
    await this.eachBlock(part, codeLength, signal, (block, where) => {
      for (let l = 0; l < codeLength; l += 1) {
        const row = block.codes.subarray(l * block.n, (l + 1) * block.n);
        paste(row, where, codes.subarray(l * size, (l + 1) * size), part);
      }
      paste(block.valid, where, valid, part);
    });
    return { codes, valid };
  }

  private async vectors(
    part: Part,
    pixels: readonly (readonly [number, number])[],
    signal?: AbortSignal,
  ): Promise<Answer> {
    const { dimension, codeLength } = this.encoding;
    const values = new Float32Array(pixels.length * dimension).fill(Number.NaN);
    const valid = new Uint8Array(pixels.length);
    const level = this.level(part);
    const [rows, cols] = level.chunk;
    await Promise.all(
      pixels.map(async ([row, col], index) => {
        const place = [Math.floor(row / rows), Math.floor(col / cols)] as const;
        const block = await this.blocks.read(level, part.position, ...place, codeLength, signal);
        const p = (row % rows) * cols + (col % cols);
        if (block.valid[p] === 0) return;
        valid[index] = 1;
        const components = this.dequantizer.pixel(block.codes, block.n, p);
        values.set(original(this.encoding, components), index * dimension);
      }),
    );
    return { values, valid };
  }

  /** Read all blocks that a part touches, at once, and use each as it comes; `where` is the block's place. */
  private async eachBlock(
    part: Part,
    codes: number,
    signal: AbortSignal | undefined,
    use: (block: Block, where: Rectangle) => void | Promise<void>,
  ): Promise<void> {
    const level = this.level(part);
    await Promise.all(
      within(part, level.chunk).map(async ([row, col]) => {
        const block = await this.blocks.read(level, part.position, row, col, codes, signal);
        const [height, width] = level.chunk;
        await use(block, { row: row * height, col: col * width, height, width });
      }),
    );
  }

  private level(part: Part): Level {
    const grid = this.store.grids[part.grid] as Grid;
    return grid.levels[part.level] as Level;
  }

  private scorer({ id, query }: { readonly id: number; readonly query: Query }): Scorer {
    const known = this.questions.get(id);
    if (known instanceof Scorer) return known;
    const { components } = query;
    const encoding = components === undefined ? this.encoding : this.encoding.firstComponents(components);
    return this.keep(id, new Scorer(encoding, query, this.lengthsOf(encoding, parseMetric(query.metric)?.whiten)));
  }

  private lengthsOf(encoding: Encoding, whiten = 0): Lengths {
    const name = `${encoding.nComponents} w${whiten}`;
    const known = this.lengths.get(name);
    if (known !== undefined) return known;
    const isWeighed = whiten > 0 && encoding.knowsVariance; // a scorer refuses the others
    const lengths = new Lengths(isWeighed ? new ReducedEncoding(encoding, whiten) : encoding, name);
    this.lengths.set(name, lengths);
    return lengths;
  }

  private classifier({ id, model }: { readonly id: number; readonly model: LinearModel }): Classifier {
    const known = this.questions.get(id);
    if (known instanceof Classifier) return known;
    return this.keep(id, new Classifier(this.encoding, model));
  }

  private keep<Question extends Scorer | Classifier>(id: number, question: Question): Question {
    this.questions.set(id, question);
    const [oldest] = this.questions.keys();
    if (this.questions.size > KEPT_QUESTIONS && oldest !== undefined) this.questions.delete(oldest);
    return question;
  }
}
