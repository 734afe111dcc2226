// The shapes of the page's data (see page.py), for tsc --checkJs; nothing of this reaches the browser.

interface PageColumn { values: string[]; places?: number[] }
interface PageModel { id: string; threshold: number | null; doubt: string | null }
interface PageTask {
  name: string; question: string; multilabel: boolean; catalogue: number | null;
  classes: { label: string; uri: string | null }[]; models: PageModel[];
}
interface PageLabels {
  label: (number | null)[]; score: (number | null)[]; uncertain: number[]; learned: number[];
  said: ((number | null)[] | null)[] | null;
}
interface PageLevel {
  n: number; accuracy: number; balanced_accuracy: number | null; confusion: number[][]; found: (number | null)[] | null;
  interval: [number, number] | null;
}
interface PageEvaluation {
  task: string; heading: string; model_id: string; classes: string[]; multilabel: boolean; doubt: string | null; majority_share: number;
  commonest: string | null; page: string | null; levels: Record<string, PageLevel>;
  tested: { work: number[]; truth: number[][]; said: number[][]; score: (number | null)[] } | null;
}
interface PageData {
  format: number; run: Record<string, string | number>; tasks: PageTask[]; evaluations: PageEvaluation[];
  shard: number; count: number; fields: ({ name: string } & PageColumn)[];
  id: string[]; file: string[]; status: PageColumn; thumbnail: (string | null)[]; zoom: (string | null)[] | null; palette: string[];
  labels: PageLabels[]; position: { x: (number | null)[]; y: (number | null)[] } | null;
  queues: { name: string; task: number | null; works: number[]; said: (string | null)[]; score: (number | null)[]; twin: (number | null)[] }[]; terms: number;
  said: [number, number, string, string, string][];
}
interface WorkDetails {
  uri: string; service: string | null; error: string | null; record: string[]; palette: number[][]; brightness: number | null;
  scores: (number[] | null)[]; near: number[]; maps: (string | null)[]; objects: [string, number, number, number, number, number][];
}
interface Correction { label: string; at: string; by?: string }
interface Question { key: string; name: string; tasks: number[]; multilabel: boolean }
interface MapName { text: string; x: number; y: number }

type Collection = ReturnType<typeof makeCollection>;
type Corrections = ReturnType<typeof makeCorrections>;
type Judging = ReturnType<typeof makeJudging>;
type Terms = ReturnType<typeof makeTerms>;
type Filters = ReturnType<typeof makeFilters>;
type Chosen = ReturnType<typeof makeSelection>;

declare var artrayWords: { language: string; words: Record<string, string | Record<string, string>> } | undefined;
declare var artrayPage: PageData;
declare var artrayShards: WorkDetails[][];
declare var artrayTerms: { width: number; terms: string[]; vectors: string; works: string; places: number[] } | undefined;
