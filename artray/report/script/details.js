// What is known of single works, loaded when one of them is looked at.

/** @param {PageData} data */
function makeDetails(data) {
  globalThis.artrayShards = [];
  const loading = new Map();

  /** @param {number} work @returns {Promise<WorkDetails>} */
  return function detailsOf(work) {
    const number = Math.floor(work / data.shard);
    if (!loading.has(number)) {
      loading.set(number, new Promise((resolve, reject) => {
        const script = element("script");
        script.src = `data/works-${String(number).padStart(4, "0")}.js`;
        script.addEventListener("load", resolve);
        script.addEventListener("error", () => {
          loading.delete(number);
          reject(new Error(say("shard_missing", { file: script.getAttribute("src") })));
        });
        document.head.append(script);
      }));
    }
    return loading.get(number).then(() => globalThis.artrayShards[number][work % data.shard]);
  };
}
