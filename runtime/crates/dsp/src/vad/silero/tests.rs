use super::*;

fn noise(seed: u32) -> [f32; WINDOW] {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32 - 0.5) * 0.2
    })
}

fn run(model: &Model, windows: &[[f32; WINDOW]]) -> Vec<f32> {
    let (mut state, mut scratch) = (State::default(), Scratch::default());
    let mut probabilities = Vec::new();
    for window in windows {
        let mut batch = [Item { state: &mut state, window, probability: f32::NAN }];
        model.forward(&mut batch, &mut scratch);
        probabilities.push(batch[0].probability);
    }
    probabilities
}

#[test]
fn an_empty_batch_is_nothing() {
    Model::load().forward(&mut [], &mut Scratch::default());
}

#[test]
fn a_damaged_window_does_not_poison_the_state() {
    let model = Model::load();
    let mut windows = vec![[f32::NAN; WINDOW]];
    windows.push([f32::INFINITY; WINDOW]);
    windows.push([f32::MAX; WINDOW]);
    windows.extend((0..30).map(noise));
    let probabilities = run(&model, &windows);
    assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{probabilities:?}");
    let healthy = run(&model, &windows[3..]);
    let (last, right) = (probabilities[32], healthy[29]);
    assert!((last - right).abs() < 0.05, "{last} has not recovered to {right}");
}

#[test]
fn scratch_for_a_batch_does_not_grow() {
    let scratch = Scratch::for_batch(7);
    let mut same = scratch.clone();
    same.grow(7);
    assert_eq!(same.gates.len(), scratch.gates.len());
    assert_eq!(scratch.gates.len(), 7 * GATES);
}
