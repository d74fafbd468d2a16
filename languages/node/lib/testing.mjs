import testing from "./testing.js";

export const { run } = testing;
export default testing;
